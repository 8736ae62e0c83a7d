// Sizes as people read them: the unit, its rounding, the exact bytes.
import { test } from 'tap';
import { exactSize, humanSize } from '../../../daemon/lib/format-size.js';

await test('a size takes the largest unit in which it is at least 1', (t) => {
  t.equal(humanSize(0), '0 bytes');
  t.equal(humanSize(1), '1 byte');
  t.equal(humanSize(1023), '1023 bytes');
  t.equal(humanSize(1024), '1.0 KiB');
  t.equal(humanSize(1_153_434), '1.1 MiB');
  t.equal(humanSize(2 ** 50), '1.0 PiB');
  t.equal(humanSize(2 ** 60), '1024.0 PiB', 'there is no larger unit');
  t.end();
});

await test('a size just below a unit does not print as 1024.0 of the smaller one', (t) => {
  t.equal(humanSize(2 ** 20 - 1), '1.0 MiB');
  t.equal(humanSize(1023.9 * 1024), '1023.9 KiB');
  t.end();
});

await test('an exact size adds the bytes from 1 KiB on', (t) => {
  t.equal(exactSize(1), '1 byte');
  t.equal(exactSize(812), '812 bytes');
  t.equal(exactSize(1_153_434), '1.1 MiB (1153434 bytes)');
  t.equal(exactSize(2 ** 60), '1024.0 PiB (more than 2^53 bytes)', 'no digits that are not known');
  t.end();
});
