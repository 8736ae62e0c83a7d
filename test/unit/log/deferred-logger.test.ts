// Log lines of the start, before the logger exists.
import { test } from 'tap';
import { DeferredLogger } from '../../../daemon/log/deferred-logger.js';
import { MAX_EARLY_LINES } from '../../../daemon/log/limits.js';
import type { LogLevel } from '../../../daemon/log/logger.js';

function makeLogger() {
  const lines: string[] = [];
  const target = {
    log: (level: LogLevel, message: string) => void lines.push(`${level}: ${message}`),
    flush: () => Promise.resolve(),
  };
  return { lines, logger: new DeferredLogger(() => Promise.resolve(target)) };
}

await test('early lines are kept in order, later ones are written at once', async (t) => {
  const { lines, logger } = makeLogger();
  logger.log('info', 'first');
  logger.log('warn', 'second');
  t.same(lines, []);
  await logger.write();
  logger.log('error', 'third');
  t.same(lines, ['info: first', 'warn: second', 'error: third']);
});

await test('of too many early lines the last ones are kept', async (t) => {
  const { lines, logger } = makeLogger();
  for (let i = 0; i < MAX_EARLY_LINES + 10; i++) logger.log('info', `export ${i}`);
  logger.log('info', 'ready');
  await logger.write();
  t.equal(lines.length, MAX_EARLY_LINES + 1);
  t.equal(lines[0], 'warn: left out the first 11 lines of the start');
  t.equal(lines[1], 'info: export 11');
  t.equal(lines.at(-1), 'info: ready');
});
