// The measure of a folder that changes: never more than what was there at one time.
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { leastBetween, sizesIn } from '../../support/bytes-on-disk.js';

await test('files that are removed and made meanwhile do not count together', (t) => {
  const folder = t.testdir({ old: 'x'.repeat(100_000) });
  mkdirSync(join(folder, 'sub'));
  const before = sizesIn(folder);
  const size = leastBetween(before, before);
  t.ok(size >= 100_000);
  renameSync(join(folder, 'old'), join(folder, 'sub/old'));
  t.equal(leastBetween(before, sizesIn(folder)), size, 'a file that was renamed counts');
  writeFileSync(join(folder, 'new'), 'y'.repeat(200_000));
  t.equal(leastBetween(before, sizesIn(folder)), size);
  rmSync(join(folder, 'sub/old'));
  t.equal(leastBetween(before, sizesIn(folder)), 0);
  t.equal(leastBetween(new Map([['a', 5]]), new Map([['a', 3]])), 3, 'a file that shrank');
  t.end();
});
