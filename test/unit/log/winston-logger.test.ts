// Log lines as they are written: one line for any text, with a priority if the journal reads it.
import { closeSync, fstatSync, openSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import t from 'tap';
import { priorityPrefix } from '../../../daemon/log/journal.js';
import { LOG_FORMATS, LOG_LEVELS, type LogLevel } from '../../../daemon/log/logger.js';
import { createWinstonLogger } from '../../../daemon/log/winston-logger.js';
import { MAX_MESSAGE_LENGTH } from '../../../daemon/lib/printable.js';
import { HOSTILE_TEXT, RAW } from '../../support/hostile-text.js';

/** journald splits longer lines (LineMax=). */
const JOURNAL_LINE = 48 * 1024;

class Output {
  text = '';
  readonly sink = (bytes: Buffer): Promise<boolean> => {
    this.text += bytes.toString();
    return Promise.resolve(true);
  };

  async lines(): Promise<string[]> {
    for (let i = 0; i < 5; i++) await turn();
    const lines = this.text.split('\n');
    return lines.slice(0, -1);
  }
}

const none = (): string => '';

for (const format of LOG_FORMATS) {
  await t.test(`${format}: hostile text stays one harmless line`, async (test) => {
    for (const [what, text] of Object.entries(HOSTILE_TEXT)) {
      const output = new Output();
      const log = createWinstonLogger('info', format, output.sink, none);
      log.log('warn', `before ${text} after`, { peer: text, [text]: 1 });
      const [line = '', ...more] = await output.lines();
      test.same(more, [], what);
      test.notMatch(line, RAW, what);
      if (format === 'json') {
        const fields = JSON.parse(line) as Record<string, unknown>;
        test.match(fields, { level: 'warn', message: `before ${text} after`, peer: text });
      } else {
        test.match(line, /^\d{4}-\S+Z warn: before .* after$/u, what);
      }
    }
  });

  await t.test(`${format}: no line is longer than the journal allows`, async (test) => {
    for (const character of ['x', '\u009b', '\u{e0041}', '"', '\\']) {
      const output = new Output();
      const log = createWinstonLogger('info', format, output.sink, none);
      const text = character.repeat(1_000_000);
      log.log('info', text, { peer: text, export: text, reason: text, tls: text, code: 'x' });
      const [line = ''] = await output.lines();
      test.ok(line.length < JOURNAL_LINE, `${line.length} for ${JSON.stringify(character)}`);
      test.match(line, `${1_000_000 * character.length - MAX_MESSAGE_LENGTH} more characters`);
    }
  });

  await t.test(`${format}: lines below the level are left out; time is optional`, async (test) => {
    const output = new Output();
    const log = createWinstonLogger('warn', format, output.sink, none);
    log.log('info', 'no');
    log.log('error', 'yes', {}, new Date(0));
    const lines = await output.lines();
    test.equal(lines.length, 1);
    test.match(lines[0], /1970-01-01T00:00:00\.000Z/);
  });

  await t.test(`${format}: lines for the journal have priorities`, async (test) => {
    const fd = openSync('/dev/null', 'w');
    test.teardown(() => closeSync(fd));
    const { dev, ino } = fstatSync(fd);
    const output = new Output();
    const prefix = priorityPrefix({ JOURNAL_STREAM: `${dev}:${ino}` }, fd);
    const log = createWinstonLogger('debug', format, output.sink, prefix);
    for (const level of LOG_LEVELS) log.log(level, `a ${level}`);
    const lines = await output.lines();
    const priorities: [LogLevel, number][] = [
      ['error', 3],
      ['warn', 4],
      ['info', 6],
      ['debug', 7],
    ];
    for (const [i, [level, priority]] of priorities.entries()) {
      test.ok(lines[i]?.startsWith(`<${priority}>${format === 'json' ? '{' : '2'}`), level);
      test.match(lines[i], `a ${level}`);
    }
  });
}

await t.test('no priorities if standard error is not the journal', async (test) => {
  const fd = openSync('/dev/null', 'w');
  test.teardown(() => closeSync(fd));
  const { dev, ino } = fstatSync(fd);
  const elsewhere = [undefined, '', 'x', `${dev}:${ino + 1}`, `${dev + 1}:${ino}`, `${dev}`];
  for (const stream of elsewhere) {
    const environment = stream === undefined ? {} : { JOURNAL_STREAM: stream };
    test.equal(priorityPrefix(environment, fd)('error'), '', stream ?? 'without the variable');
  }
  test.equal(priorityPrefix({ JOURNAL_STREAM: `${dev}:${ino}` }, 987_654)('error'), '', 'closed');
});
