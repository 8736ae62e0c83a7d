// Failed calls of the kernel's NBD interface as errors for an operator.
import { constants } from 'node:os';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { kernelError, noKernelError, noModuleError } from '../../../daemon/kernel/errors.js';
import { Sysfs } from '../../../daemon/kernel/sysfs.js';

const { EACCES, EBUSY, EINVAL, EIO, ENOENT, ENXIO, EPERM, ETIMEDOUT } = constants.errno;

await test('each errno has a code and a sentence with the device', (t) => {
  const cases: [number, string, RegExp][] = [
    [EBUSY, 'BUSY', /in use; without --device/],
    [EPERM, 'PERMISSION', /CAP_SYS_ADMIN/],
    [EACCES, 'PERMISSION', /CAP_SYS_ADMIN/],
    [ENOENT, 'NOT_FOUND', /nbds_max/],
    [ENXIO, 'NOT_FOUND', /nbds_max/],
    [ETIMEDOUT, 'DEVICE', /not answered for 10 s/],
    [EINVAL, 'DEVICE', /another backend has it/],
    [EIO, 'DEVICE', /failed: EIO/],
  ];
  for (const [errno, code, message] of cases) {
    const error = kernelError('connect', 3, errno);
    t.match(error, { code, message, facts: { device: '/dev/nbd3' } });
    t.match(error.message, /^\/dev\/nbd3: connect: /);
  }
  t.end();
});

await test('a kernel without the module, and one without netlink', (t) => {
  const none = new Sysfs(t.testdir());
  t.equal(noKernelError(none).message, noModuleError().message);
  t.match(noModuleError(), { code: 'NO_KERNEL', message: /modprobe nbd.*mount --fuse/ });
  const folder = t.testdir();
  mkdirSync(join(folder, 'block', 'nbd0'), { recursive: true });
  mkdirSync(join(folder, 'module', 'nbd'), { recursive: true });
  t.match(noKernelError(new Sysfs(folder)), { code: 'NO_KERNEL', message: /older than 4\.12/ });
  t.end();
});
