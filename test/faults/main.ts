// Entry of the long tests of faults: `npm run test:faults -- [--long] [scenario...] [--count N] [--seed N]`. Prints TAP.
import { parseArgs } from 'node:util';
import tap, { test, type Test } from 'tap';
import { clock } from './clock.js';
import { eviction } from './eviction.js';
import { kills } from './kills.js';
import { lasting } from './lasting.js';
import type { FaultOptions } from './options.js';
import { neighbours } from './neighbours.js';
import { storm } from './storm.js';

interface Scenario {
  readonly what: string;
  readonly short: number;
  readonly long: number;
  /** Whether it runs only with --long or by its name: it measures time. */
  readonly isMeasure?: boolean;
  readonly run: (t: Test, options: FaultOptions) => Promise<void>;
}

const SCENARIOS: Readonly<Record<string, Scenario>> = {
  kills: { what: 'kill -9 in a cold read, with chunks zeroed', short: 5, long: 100, run: kills },
  eviction: { what: 'a cache of 2 % under load', short: 100, long: 5000, run: eviction },
  storm: { what: 'faults that come and go', short: 20, long: 600, run: storm },
  lasting: { what: 'every fault, until it is taken away', short: 1, long: 6, run: lasting },
  neighbours: {
    what: 'a healthy export keeps its speed while others fail',
    // The least that says something of a ratio: it is run for its figure, and not by CI.
    short: 9,
    long: 40,
    isMeasure: true,
    run: neighbours,
  },
  clock: { what: 'the clock is set', short: 30, long: 1000, run: clock },
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    long: { type: 'boolean', default: false },
    count: { type: 'string' },
    seed: { type: 'string', default: '1' },
  },
});
tap.setTimeout(0);
const size = (values.long ? 96 : 16) << 20;
const usual = Object.entries(SCENARIOS).filter(
  ([, { isMeasure = false }]) => values.long || !isMeasure,
);
const names = positionals.length > 0 ? positionals : usual.map(([name]) => name);
for (const name of names) {
  const scenario = SCENARIOS[name];
  if (!scenario) throw new Error(`${name}: not one of ${Object.keys(SCENARIOS).join(', ')}`);
  const { what, short, long, run } = scenario;
  const count = Number(values.count ?? (values.long ? long : short));
  await test(`${name}: ${what}, ${count}`, (t) =>
    run(t, { count, seed: Number(values.seed), size }));
}
