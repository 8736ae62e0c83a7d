// Lines on their way to standard error: lines that are not read use bounded memory, and are counted.
import { spawn } from 'node:child_process';
import { openSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { setImmediate as turn } from 'node:timers/promises';
import { join } from 'node:path';
import t from 'tap';
import { MAX_UNWRITTEN_BYTES } from '../../../daemon/log/limits.js';
import { StderrLines } from '../../../daemon/log/stderr-lines.js';

const LINE = `${'x'.repeat(999)}\n`;
const notice = (dropped: number): string => `${dropped} dropped\n`;

/** A sink on which the test ends each write. */
class Pipe {
  text = '';
  readonly #waiting: (() => void)[] = [];
  mode: 'stuck' | 'full' | 'open' = 'open';
  readonly sink = async (bytes: Buffer): Promise<boolean> => {
    if (this.mode === 'stuck') await new Promise<void>((go) => this.#waiting.push(go));
    if (this.mode === 'full') {
      this.text += bytes.toString().slice(0, 3);
      return false;
    }
    this.text += bytes.toString();
    return true;
  };

  open(): void {
    this.mode = 'open';
    for (const go of this.#waiting.splice(0)) go();
  }
}

await t.test('a reader that does not read: lines are dropped and counted', async (test) => {
  const pipe = new Pipe();
  const lines = new StderrLines(notice, pipe.sink);
  pipe.mode = 'stuck';
  let taken = 0;
  for (let i = 0; i < 10_000; i++) {
    if (!lines.takes()) continue;
    lines.write(LINE);
    taken++;
  }
  test.equal(taken, Math.ceil(MAX_UNWRITTEN_BYTES / LINE.length));
  await turn();
  pipe.open();
  for (let i = 0; i < 10; i++) await turn();
  test.equal(pipe.text, `${LINE.repeat(1)}${10_000 - taken} dropped\n${LINE.repeat(taken - 1)}`);
  test.ok(lines.takes(), 'later lines are accepted again');
});

await t.test('the count is written even if no line follows', async (test) => {
  const pipe = new Pipe();
  const lines = new StderrLines(notice, pipe.sink);
  pipe.mode = 'stuck';
  lines.write(Buffer.alloc(MAX_UNWRITTEN_BYTES, 'y'));
  test.notOk(lines.takes());
  pipe.open();
  for (let i = 0; i < 10; i++) await turn();
  test.equal(pipe.text.slice(MAX_UNWRITTEN_BYTES), '1 dropped\n');
});

await t.test('a full disk, and a disk with room again', async (test) => {
  const pipe = new Pipe();
  const lines = new StderrLines(notice, pipe.sink);
  pipe.mode = 'full';
  for (const line of ['one\n', 'two\n', 'three\n']) {
    lines.write(line);
    await turn();
  }
  test.equal(pipe.text, 'one\n1 \n2 ', 'parts of lines were written');
  pipe.open();
  pipe.text = '';
  lines.write('four\n');
  await turn();
  test.equal(pipe.text, '\n3 dropped\nfour\n', 'the incomplete line is ended');
  lines.write('five\n');
  await turn();
  test.equal(pipe.text, '\n3 dropped\nfour\nfive\n');
});

await t.test('the end waits for queued lines, and writes the count', async (test) => {
  const pipe = new Pipe();
  const lines = new StderrLines(notice, pipe.sink);
  pipe.mode = 'full';
  lines.write('one\n');
  await turn();
  pipe.open();
  pipe.text = '';
  await new Promise<void>((resolve) => lines.end(resolve));
  test.equal(pipe.text, '\n1 dropped\n');
  test.notOk(lines.takes(), 'no further line is accepted');
});

const LOGGER = fileURLToPath(new URL('../../../daemon/log/winston-logger.js', import.meta.url));

const LINES = 30_000;

/** A process that logs three times as many lines, reports by how much its memory grew after the first time, and ends. */
const FLOOD = `
  import { createWinstonLogger } from ${JSON.stringify(LOGGER)};
  process.stderr.on('error', () => undefined);
  const log = createWinstonLogger('info', 'pretty');
  const flood = async () => {
    for (let i = 0; i < ${LINES / 1000}; i++) {
      for (let k = 0; k < 1000; k++) log.log('info', 'line ' + 'x'.repeat(1000));
      await new Promise((next) => setImmediate(next));
    }
  };
  await flood();
  const before = process.memoryUsage().rss;
  await flood();
  await flood();
  console.log(process.memoryUsage().rss - before);
  await log.flush();
  process.exit(0);
`;

await t.test('a process with a blocked standard error stays small and ends', async (test) => {
  const folder = test.testdir({ log: '' });
  const cases = [
    ['is a pipe without a reader', 'pipe'],
    ['is a full disk', openSync('/dev/full', 'w')],
  ] as const;
  for (const [what, stderr] of cases) {
    const args = ['--input-type=module', '-e', FLOOD];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', stderr] });
    const code = new Promise((resolve) => child.once('exit', resolve));
    let said = '';
    child.stdout?.on('data', (bytes: Buffer) => (said += bytes.toString()));
    test.equal(await code, 0, `${what}: the process ends`);
    const grown = Number(said) / (1 << 20);
    test.ok(
      said !== '' && grown < 40,
      `${what}: ${grown} MiB more for ${(2 * LINES) / 1000} MB of lines`,
    );
  }
  const log = join(folder, 'log');
  const args = ['--input-type=module', '-e', FLOOD];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', openSync(log, 'a')] });
  await new Promise((resolve) => child.once('exit', resolve));
  const text = readFileSync(log, 'utf8');
  const dropped = [...text.matchAll(/warn: (\d+) lines? (?:was|were) left out/g)];
  const written = text.split('\n').filter((line) => line.includes('info: line')).length;
  const counted = dropped.reduce((sum, [, count]) => sum + Number(count), 0);
  test.equal(written + counted, 3 * LINES, 'a file: every line is written or counted');
});
