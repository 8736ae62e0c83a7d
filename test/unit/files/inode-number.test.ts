// Numbers of inodes, as Node gives them and as keys.
import { test } from 'tap';
import { inodeNumber } from '../../../daemon/files/inode-number.js';

await test('one key for each of the 2^64 numbers', (t) => {
  t.equal(inodeNumber(0n), 0);
  t.equal(inodeNumber(2n ** 53n - 1n), Number.MAX_SAFE_INTEGER);
  t.equal(inodeNumber(2n ** 53n), 2n ** 53n, 'no number is rounded');
  t.equal(inodeNumber(2n ** 53n + 1n), 2n ** 53n + 1n);
  t.equal(inodeNumber(2n ** 63n), 2n ** 63n);
  t.equal(inodeNumber(-1n), 2n ** 64n - 1n, 'the sign that Node gives is the highest bit');
  t.equal(inodeNumber(-(2n ** 63n)), 2n ** 63n);
  t.equal(new Map([[inodeNumber(-1n), 'x']]).get(inodeNumber(2n ** 64n - 1n)), 'x');
  t.end();
});
