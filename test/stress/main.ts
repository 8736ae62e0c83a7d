// Entry of the stress runs: `npm run stress -- [scenario...] [--count N] [--at-once N] [--seed N]`.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { earlyTerms, failingStarts, loadedEnds } from './ends.js';
import type { StressOptions } from './options.js';
import type { Tally } from './runs.js';
import { quickClients, twoDaemons } from './startups.js';

interface Scenario {
  readonly what: string;
  readonly count: number;
  readonly run: (options: StressOptions) => Promise<Tally>;
}

const SCENARIOS: Record<string, Scenario> = {
  'failing-starts': { what: 'starts that fail with a message', count: 2000, run: failingStarts },
  'early-terms': { what: 'SIGTERM 0 to 300 ms after exec', count: 2000, run: earlyTerms },
  'quick-clients': { what: 'clients as soon as there is a socket', count: 200, run: quickClients },
  'two-daemons': { what: 'pairs of daemons at one path', count: 100, run: twoDaemons },
  'loaded-ends': { what: 'SIGTERM while clients read', count: 500, run: loadedEnds },
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    count: { type: 'string' },
    'at-once': { type: 'string', default: '3' },
    seed: { type: 'string', default: '1' },
  },
});
const names = positionals.length > 0 ? positionals : Object.keys(SCENARIOS);
for (const name of names) {
  const scenario = SCENARIOS[name];
  if (!scenario) throw new Error(`${name}: not one of ${Object.keys(SCENARIOS).join(', ')}`);
  const count = Number(values.count ?? scenario.count);
  const folder = mkdtempSync(join(tmpdir(), 'obd-'));
  const begin = performance.now();
  const options = { count, atOnce: Number(values['at-once']), seed: Number(values.seed), folder };
  const { kinds, wrongs } = await scenario.run(options);
  rmSync(folder, { recursive: true, force: true });
  const ends = [...kinds].map(([kind, number]) => `${number} ${kind}`).join(', ');
  const seconds = ((performance.now() - begin) / 1000).toFixed(0);
  console.log(`${name}: ${count} ${scenario.what}: ${ends}; ${wrongs.length} wrong; ${seconds} s`);
  for (const each of wrongs.slice(0, 10)) console.log(`  ${each}`);
  if (wrongs.length > 0) process.exitCode = 1;
}
