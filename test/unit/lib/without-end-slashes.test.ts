// Slashes at the end of paths, and long rows of them elsewhere.
import t from 'tap';
import { withoutEndSlashes } from '../../../daemon/lib/without-end-slashes.js';

await t.test('the slashes at the end, and no others', async (test) => {
  test.equal(withoutEndSlashes('/a//b///'), '/a//b');
  test.equal(withoutEndSlashes('a'), 'a');
  test.equal(withoutEndSlashes('///'), '');
  test.equal(withoutEndSlashes(''), '');
});

await t.test('a long row that is not at the end takes no time', async (test) => {
  const text = `${'/'.repeat(1 << 20)}x`;
  const start = process.cpuUsage();
  test.equal(withoutEndSlashes(text), text);
  const { user, system } = process.cpuUsage(start);
  test.ok(user + system < 5_000_000, `${user + system} microseconds of processor time`);
});
