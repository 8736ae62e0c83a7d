// The command line of the benchmark: text to values. It checks no tools and no files.
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { CASES, type CaseName } from './cases.js';
import { ALL_WORKS, type WorkName } from './works.js';

export const USAGE = `npm run bench -- [options]

  --check          compare ratios with half of the goals' and fail when one is lost
  --micro          only what is measured within one process: lookup, CRC, decoding, parsing
  --registry       images of a registry with latency: cold, cached, what a miss costs (needs root)
  --only cached    with --registry: only the speed of a cached image beside a local file (no root)
  --formats        a container image in every lazy format, from a registry with latency (needs root)
  --soak TIME      full load for that long ("10m", "90s"): memory must not grow
  --quick          a 64 MB image and short rounds: a smoke test, or what --check is meant to use
  --rounds N       rounds of every server and work (default 5; --registry and --formats 3; --only cached 15)
  --seconds N      length of one measurement (default 3; --registry and --formats 1)
  --size MB        size of the image (default 512; --registry 1024; --formats and --only cached 256)
  --latency MS     of each answer of the registry (default 20)
  --rate MB        what the registry sends in a second, 10^6 bytes (default 125: 1 Gbit/s)
  --all            also the optional server
  --servers LIST   only these, comma separated: ${CASES.map(({ name }) => name).join(', ')}
  --works LIST     only these, comma separated: ${ALL_WORKS.map(({ name }) => name).join(', ')}
  --no-start       leave out start time and the memory of further exports
  --dir FOLDER     where images are kept between runs (default overlaybd-nbd-bench in the temporary folder)
  --json FILE      write everything that was measured
  --docs           write results and charts into docs/benchmarks
`;

export type Mode = 'load' | 'check' | 'micro' | 'registry' | 'formats' | 'soak';

export interface BenchOptions {
  mode: Mode;
  quick: boolean;
  rounds: number;
  seconds: number;
  /** Of the registry; null: all of it. */
  only: 'cached' | null;
  /** Length of the soak test. */
  soakSeconds: number;
  /** MiB. */
  size: number;
  /** Of the registry: milliseconds. */
  latency: number;
  /** Of the registry: bytes a second. */
  rate: number;
  cases: CaseName[];
  works: WorkName[];
  start: boolean;
  dir: string;
  json: string | undefined;
  docs: boolean;
}

/** @returns undefined if only the usage is wanted. @throws Error for anything it does not understand */
export function parseOptions(argv: string[]): BenchOptions | undefined {
  const { values } = parseArgs({
    args: argv,
    options: {
      check: { type: 'boolean', default: false },
      micro: { type: 'boolean', default: false },
      registry: { type: 'boolean', default: false },
      only: { type: 'string' },
      formats: { type: 'boolean', default: false },
      soak: { type: 'string' },
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      size: { type: 'string' },
      latency: { type: 'string' },
      rate: { type: 'string' },
      all: { type: 'boolean', default: false },
      servers: { type: 'string' },
      works: { type: 'string' },
      'no-start': { type: 'boolean', default: false },
      dir: { type: 'string' },
      json: { type: 'string' },
      docs: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return undefined;
  const modes: Mode[] = [];
  if (values.check) modes.push('check');
  if (values.micro) modes.push('micro');
  if (values.registry) modes.push('registry');
  if (values.formats) modes.push('formats');
  if (values.soak !== undefined) modes.push('soak');
  const [mode = 'load'] = modes;
  if (modes.length > 1) throw new Error(`--${modes.join(' and --')}: only one of them`);
  if (values.docs && mode === 'check') throw new Error('--check: goes into no documents');
  const { quick } = values;
  if (values.docs && quick) throw new Error('--quick: goes into no documents');
  const only = onlyOf(values.only, mode);
  if (values.docs && only !== null) throw new Error('--only: goes into no documents');
  const standards = standardsOf(mode, quick, only);
  const standard = CASES.filter(({ when }) => values.all || when !== 'asked');
  return {
    mode,
    only,
    quick,
    rounds: positive('--rounds', values.rounds, standards.rounds, Number.isSafeInteger),
    seconds: positive('--seconds', values.seconds, standards.seconds, Number.isFinite),
    soakSeconds: values.soak === undefined ? 0 : durationOf('--soak', values.soak),
    size: positive('--size', values.size, standards.size, Number.isSafeInteger),
    latency: positive('--latency', values.latency, 20, Number.isFinite),
    rate: positive('--rate', values.rate, 125, Number.isFinite) * 1e6,
    cases: listOf('--servers', values.servers, names(CASES), names(standard)),
    works: listOf('--works', values.works, names(ALL_WORKS), names(ALL_WORKS)),
    start: !values['no-start'],
    dir: resolve(values.dir ?? join(tmpdir(), 'overlaybd-nbd-bench')),
    json: values.json,
    docs: values.docs,
  };
}

function standardsOf(
  mode: Mode,
  quick: boolean,
  only: BenchOptions['only'],
): Pick<BenchOptions, 'rounds' | 'seconds' | 'size'> {
  if (quick)
    return { rounds: mode === 'check' ? 3 : 1, seconds: mode === 'check' ? 0.3 : 0.5, size: 64 };
  if (only === 'cached') return { rounds: 15, seconds: 1, size: 256 };
  if (mode === 'registry') return { rounds: 3, seconds: 1, size: 1024 };
  if (mode === 'formats') return { rounds: 3, seconds: 1, size: 256 };
  return { rounds: 5, seconds: 3, size: 512 };
}

function onlyOf(text: string | undefined, mode: Mode): BenchOptions['only'] {
  if (text === undefined) return null;
  if (text === 'cached' && mode === 'registry') return text;
  throw new Error(`--only ${text}: only "cached", with --registry`);
}

function names<T extends string>(things: readonly { readonly name: T }[]): T[] {
  return things.map(({ name }) => name);
}

function positive(
  option: string,
  text: string | undefined,
  standard: number,
  isGood: (value: number) => boolean,
): number {
  if (text === undefined) return standard;
  const value = Number(text);
  if (!isGood(value) || value <= 0) throw new Error(`${option} ${text}: not such a number above 0`);
  return value;
}

function durationOf(option: string, text: string): number {
  const [, number, unit] = /^(\d+)(s|m|h)$/.exec(text) ?? [];
  const seconds = Number(number) * { s: 1, m: 60, h: 3600 }[(unit ?? 's') as 's' | 'm' | 'h'];
  if (!(seconds > 0)) throw new Error(`${option} ${text}: not a time as 90s, 10m or 1h`);
  return seconds;
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
