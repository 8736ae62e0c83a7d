// The messages for a limit on open files that is too low. With a real limit: test/e2e/descriptors.test.ts.
import { test } from 'tap';
import { OverlaybdError } from '../../../daemon/errors.js';
import {
  MIN_DESCRIPTORS,
  SPARE_DESCRIPTORS,
  checkDescriptorsAtStart,
  checkSpareDescriptors,
  descriptorLimit,
  explainDescriptors,
  parseDescriptorLimit,
} from '../../../daemon/server/descriptor-limit.js';

await test('the limit is read from /proc', async (t) => {
  const line = 'Max open files            1024                 524288               files\n';
  t.equal(parseDescriptorLimit(`Limit  Soft Limit\n${line}Max locked memory 1 2 bytes`), 1024);
  t.equal(parseDescriptorLimit(line.replace('1024', 'unlimited')), Infinity);
  t.equal(parseDescriptorLimit('Max processes 5 5\n'), null);
  t.ok((descriptorLimit() ?? 0) > 0);
});

await test('a limit that is too low is an error or a warning', async (t) => {
  checkDescriptorsAtStart(null);
  checkDescriptorsAtStart(MIN_DESCRIPTORS);
  for (const limit of [0, 24, MIN_DESCRIPTORS - 1]) {
    const message = new RegExp(
      `needs at least ${MIN_DESCRIPTORS} to serve.*ulimit -n.*LimitNOFILE`,
    );
    t.throws(() => checkDescriptorsAtStart(limit), { code: 'LIMIT', message });
  }
  checkSpareDescriptors(100, 100 - SPARE_DESCRIPTORS);
  t.throws(() => checkSpareDescriptors(100, 101 - SPARE_DESCRIPTORS), { message: /least 101/ });
  t.doesNotThrow(() => checkSpareDescriptors());
});

await test('errors for lack of descriptors name the limit', async (t) => {
  const full = Object.assign(new Error('EMFILE: too many open files, open x'), { code: 'EMFILE' });
  const wrapped = new OverlaybdError('IO', 'x: cannot be opened', { cause: full });
  for (const error of [full, wrapped]) {
    t.match(explainDescriptors(error, 77), { code: 'LIMIT', message: /x.*77 files.*ulimit -n/ });
  }
  const other = new OverlaybdError('NOT_FOUND', 'x: no such file');
  t.equal(explainDescriptors(other, 77), other);
});
