// Repeated lines: the first one, then a count; separate for each kind.
import { test } from 'tap';
import { CountedLog } from '../../../daemon/log/counted-log.js';
import { REPEATED_LINES } from '../../../daemon/log/limits.js';
import type { LogFields } from '../../../daemon/log/logger.js';

await test('the first line of a kind at once, later ones as a count', (t) => {
  let now = 0;
  const lines: [string, string, LogFields | undefined][] = [];
  const log = new CountedLog(
    { log: (level, message, fields) => lines.push([level, message, fields]) },
    () => now,
  );
  for (let i = 0; i < 5; i++) log.log('a', 'warn', `a ${i}`, { i });
  log.log('b', 'error', 'b');
  t.same(lines.splice(0), [
    ['warn', 'a 0', { i: 0 }],
    ['error', 'b', {}],
  ]);
  now += 10_000;
  log.sweep();
  t.same(lines.splice(0), [
    ['warn', 'a 4 (4 more times since the last such line)', { i: 4, more: 4 }],
  ]);
  for (let i = 0; i < 200; i++) log.log(`kind ${i}`, 'warn', `kind ${i}`);
  lines.splice(0);
  log.sweep(true);
  t.match(
    lines.at(-1)?.[1],
    /^kind 199 \(\d+ more lines of further kinds since the last such line\)$/,
  );
  t.end();
});

await test('kinds beyond the limit share one line', (t) => {
  let lines = 0;
  const log = new CountedLog({ log: () => lines++ }, () => 0);
  for (let i = 0; i < 3 * REPEATED_LINES.keys; i++) log.log(`kind ${i}`, 'warn', 'x');
  t.equal(lines, REPEATED_LINES.keys);
  log.sweep(true);
  t.equal(lines, REPEATED_LINES.keys + 1, 'all others share one line');
  t.end();
});
