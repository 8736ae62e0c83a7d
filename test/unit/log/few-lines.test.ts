// Lines of one kind: the first ones, and a count of the rest.
import { test } from 'tap';
import { FewLines } from '../../../daemon/log/few-lines.js';

await test('the first lines are logged, later ones are counted', async (t) => {
  const lines: string[] = [];
  const log = {
    log: (level: string, text: string, fields?: object) =>
      void lines.push(`${level}: ${text} ${JSON.stringify(fields ?? null)}`),
  };
  const few = new FewLines(log, 'error', 'state folder');
  for (let i = 0; i < 10; i++) few.add(`line ${i}`, { device: `/dev/nbd${i}` });
  few.end();
  t.equal(lines.length, 10, 'nothing was left out');
  for (let i = 10; i < 5000; i++) few.add(`line ${i}`);
  few.end();
  t.same(lines.slice(9), [
    'error: line 9 {"device":"/dev/nbd9"}',
    'error: state folder: 4990 more like these null',
  ]);
});
