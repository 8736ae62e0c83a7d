// Starts and ends of the program at every moment, a few of each; `npm run stress` runs thousands.
import t from 'tap';
import { shortFolder } from '../support/daemon-process.js';
import { SEED } from '../support/seed.js';
import { earlyTerms, failingStarts, loadedEnds } from '../stress/ends.js';
import type { StressOptions } from '../stress/options.js';
import type { Tally } from '../stress/runs.js';
import { quickClients, twoDaemons } from '../stress/startups.js';

t.setTimeout(900_000);

const SCENARIOS: [what: string, count: number, run: (options: StressOptions) => Promise<Tally>][] =
  [
    ['starts that fail end with their message', 14, failingStarts],
    ['SIGTERM at any moment after exec', 30, earlyTerms],
    ['a client that connects as soon as there is a socket', 12, quickClients],
    ['two daemons at one path', 4, twoDaemons],
    ['SIGTERM while clients read', 6, loadedEnds],
  ];

for (const [what, count, run] of SCENARIOS) {
  await t.test(what, async (test) => {
    const folder = shortFolder(test);
    const { kinds, wrongs } = await run({ count, atOnce: 2, seed: SEED, folder });
    test.same(wrongs, []);
    const total = [...kinds.values()].reduce((sum, each) => sum + each, 0);
    test.equal(total, count, [...kinds].map(([kind, number]) => `${number} ${kind}`).join(', '));
  });
}
