// Kills, evictions, faults that come and go and clocks that are set, a few of each; `npm run test:faults` does more.
import t from 'tap';
import { clock } from '../faults/clock.js';
import { eviction } from '../faults/eviction.js';
import { kills } from '../faults/kills.js';
import { storm } from '../faults/storm.js';
import { SEED } from '../support/seed.js';

t.setTimeout(280_000);

const SMALL = { seed: SEED, size: 16 << 20 };

await t.test('kill -9, and chunks that are zeros', (test) => kills(test, { ...SMALL, count: 3 }));
await t.test('a cache of 2 % under load', (test) => eviction(test, { ...SMALL, count: 40 }));
await t.test('faults that come and go', (test) => storm(test, { ...SMALL, count: 6 }));
await t.test('the clock is set', (test) => clock(test, { ...SMALL, count: 10 }));
