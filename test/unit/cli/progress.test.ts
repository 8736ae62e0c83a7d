// The progress bar: when it draws, what it draws, and the line that stays afterwards.
import t from 'tap';
import { ProgressBar, progressLine } from '../../../daemon/cli/progress.js';

const CLEAR = '\r\x1b[K';

function terminal(columns: number, isTTY = true) {
  const written: string[] = [];
  return { written, columns, isTTY, write: (text: string) => written.push(text) };
}

await t.test('a line shows bar, percentage, bytes and rate', async (test) => {
  test.equal(progressLine(0, 4096, 0), '[--------------------]   0 % 0 bytes of 4.0 KiB');
  test.equal(
    progressLine(2048, 4096, 2),
    '[##########----------]  50 % 2.0 KiB of 4.0 KiB, 1.0 KiB/s',
  );
  test.match(progressLine(4096, 4096, 1), /^\[#{20}\] 100 %/);
  test.match(progressLine(4095, 4096, 1), / {2}99 % /, 'unfinished work is never 100 %');
  test.match(progressLine(0, 0, 0), /100 %/, 'no work at all is 100 %');
});

await t.test('the bar is drawn at most ten times a second', async (test) => {
  const stream = terminal(80);
  let now = 0;
  const bar = new ProgressBar(stream, () => now);
  for (; now < 1000; now++) bar.update(now, 1000);
  test.equal(stream.written.length, 10);
  test.ok(stream.written.every((text) => text.startsWith(`${CLEAR}[`)));
});

await t.test('the bar is never wider than the terminal', async (test) => {
  const stream = terminal(20);
  new ProgressBar(stream).update(1, 2);
  test.equal(stream.written[0]?.length, CLEAR.length + 19);
});

await t.test('the bar is cleared at the end, if it was ever drawn', async (test) => {
  const stream = terminal(80);
  const bar = new ProgressBar(stream);
  bar.clear();
  test.same(stream.written, []);
  bar.update(1, 2);
  bar.clear();
  bar.clear();
  test.same(stream.written.slice(1), [CLEAR]);
});

await t.test('without a terminal nothing is drawn', async (test) => {
  const stream = terminal(80, false);
  const bar = new ProgressBar(stream);
  bar.update(1, 2);
  bar.clear();
  test.same(stream.written, []);
});
