// The command line of the fuzzer: text to values.
import { parseArgs } from 'node:util';

export const USAGE = `npm run fuzz -- [options]

  --seconds N      how long (default 10)
  --cases N        how many cases, however long that takes
  --seed N         other cases (default: the time)
  --case N         only this case
  --target NAME    nbd (default): clients of all kinds; formats: damaged layers;
                   documents: damaged manifests, configurations, lists, disks and answers
`;

const TARGET_NAMES = ['nbd', 'formats', 'documents'] as const;
type TargetName = (typeof TARGET_NAMES)[number];

export interface FuzzOptions {
  readonly target: TargetName;
  readonly seed: number;
  readonly seconds: number;
  /** The first case. */
  readonly from: number;
  /** null: as many as the time allows. */
  readonly cases: number | null;
}

/** @returns undefined if only the usage is wanted. @throws Error for anything it does not understand */
export function parseOptions(argv: string[]): FuzzOptions | undefined {
  const { values } = parseArgs({
    args: argv,
    options: {
      seconds: { type: 'string' },
      cases: { type: 'string' },
      seed: { type: 'string' },
      case: { type: 'string' },
      target: { type: 'string', default: 'nbd' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return undefined;
  const target = TARGET_NAMES.find((name) => name === values.target);
  if (!target) throw new Error(`--target ${values.target}: no such target`);
  const single = values.case === undefined ? null : wholeNumber('--case', values.case);
  return {
    target,
    seed: values.seed === undefined ? Date.now() >>> 0 : wholeNumber('--seed', values.seed),
    seconds: values.seconds === undefined ? 10 : wholeNumber('--seconds', values.seconds),
    from: single ?? 0,
    cases: single === null ? countOf(values.cases) : 1,
  };
}

function countOf(text: string | undefined): number | null {
  return text === undefined ? null : wholeNumber('--cases', text);
}

function wholeNumber(name: string, text: string): number {
  if (!/^\d{1,10}$/.test(text)) throw new Error(`${name} ${text}: not a whole number`);
  return Number(text);
}
