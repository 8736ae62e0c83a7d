// The command line of the benchmark: text to values. It checks no tools and no files.
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { CASES, type CaseName } from './cases.js';
import { WORKS, type WorkName } from './works.js';

export const USAGE = `npm run bench -- [options]

  --quick          smoke test: 1 round, 1 second, a 64 MB image
  --rounds N       rounds of every server and work (default 5)
  --seconds N      length of one measurement (default 4)
  --size MB        size of the image (default 512)
  --all            also the optional image forms
  --servers LIST   only these, comma separated: ${CASES.map(({ name }) => name).join(', ')}
  --works LIST     only these, comma separated: ${WORKS.map(({ name }) => name).join(', ')}
  --no-start       leave out the time from exec to the first read
  --dir FOLDER     where images are kept between runs (default overlaybd-nbd-bench in the temporary folder)
  --json FILE      write everything that was measured
`;

export interface BenchOptions {
  rounds: number;
  seconds: number;
  /** MiB. */
  size: number;
  cases: CaseName[];
  works: WorkName[];
  start: boolean;
  dir: string;
  json: string | undefined;
}

/** @returns undefined when only the usage is wanted. @throws Error for anything it does not understand */
export function parseOptions(argv: string[]): BenchOptions | undefined {
  const { values } = parseArgs({
    args: argv,
    options: {
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      size: { type: 'string' },
      all: { type: 'boolean', default: false },
      servers: { type: 'string' },
      works: { type: 'string' },
      'no-start': { type: 'boolean', default: false },
      dir: { type: 'string' },
      json: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return undefined;
  const standard = CASES.filter(({ optional }) => values.all || !optional);
  return {
    rounds: wholeNumber('--rounds', values.rounds, values.quick ? 1 : 5),
    seconds: wholeNumber('--seconds', values.seconds, values.quick ? 1 : 4),
    size: wholeNumber('--size', values.size, values.quick ? 64 : 512),
    cases: listOf('--servers', values.servers, names(CASES), names(standard)),
    works: listOf('--works', values.works, names(WORKS), names(WORKS)),
    start: !values['no-start'],
    dir: resolve(values.dir ?? join(tmpdir(), 'overlaybd-nbd-bench')),
    json: values.json,
  };
}

function names<T extends string>(things: readonly { readonly name: T }[]): T[] {
  return things.map(({ name }) => name);
}

function wholeNumber(option: string, text: string | undefined, standard: number): number {
  if (text === undefined) return standard;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new Error(`${option} ${text}: not a whole number from 1`);
  return value;
}

/** In the order of `known`, whatever the order of the text. */
function listOf<T extends string>(
  option: string,
  text: string | undefined,
  known: T[],
  standard: T[],
): T[] {
  if (text === undefined) return standard;
  const wanted = text.split(',');
  for (const name of wanted) {
    if (!known.some((each) => each === name))
      throw new Error(`${option} ${name}: not one of ${known.join(', ')}`);
  }
  return known.filter((name) => wanted.includes(name));
}
