// The -o options for mount(8).
import { test } from 'tap';
import {
  filesystemOptions,
  fuseOptions,
  safeOptions,
  userOptions,
} from '../../../daemon/mount/mount-options.js';

await test('each file system is mounted without its journal', (t) => {
  const ext4 = ['ro', 'noload', 'errors=continue'];
  t.same(filesystemOptions('ext4', '6.1.0'), [...ext4, 'nowarn_on_error']);
  t.same(filesystemOptions('ext4', '5.4.0'), ext4);
  t.same(filesystemOptions('xfs', '6.1.0'), ['ro', 'norecovery', 'nouuid']);
  t.same(filesystemOptions('erofs', '6.1.0'), ['ro']);
  t.same(filesystemOptions('squashfs', '6.1.0'), ['ro']);
  for (const release of ['5.9.0', '5.10.0-8-amd64', '6.1', '10.0', 'unheard-of']) {
    t.same(filesystemOptions('btrfs', release), ['ro', 'rescue=nologreplay'], release);
  }
  for (const release of ['5.8.18', '4.19.0-6']) {
    t.same(filesystemOptions('btrfs', release), ['ro', 'nologreplay'], release);
  }
  t.end();
});

await test('device nodes and setuid programs of an image are disabled', (t) => {
  t.same(safeOptions({ dev: false, suid: false }), ['nodev', 'nosuid']);
  t.same(safeOptions({ dev: true, suid: false }), ['nosuid']);
  t.same(safeOptions({ dev: true, suid: true }), []);
  t.same(fuseOptions({ dev: false, suid: false }, false), ['nodev', 'nosuid']);
  t.same(fuseOptions({ dev: false, suid: true }, true), ['nodev', 'suid']);
  for (const allowed of [
    { dev: true, suid: false },
    { dev: false, suid: true },
  ]) {
    t.throws(() => fuseOptions(allowed, false), { code: 'BAD_ARGUMENT', message: /only for root/ });
  }
  t.end();
});

await test('options of the user are passed on', (t) => {
  t.same(userOptions([]), []);
  t.same(userOptions(['nodev,nosuid', 'noexec', ',']), ['nodev', 'nosuid', 'noexec']);
  t.same(userOptions(['context="a:b,c",nodev']), ['context="a:b,c"', 'nodev']);
  t.same(userOptions(['x="a']), ['x="a'], 'a quote without an end');
  t.same(userOptions(['rwx,x-rw']), ['rwx', 'x-rw']);
  t.end();
});

await test('options that would change the meaning of the mount are refused', (t) => {
  for (const text of [
    'rw',
    'nodev,rw',
    'rw=1',
    'remount',
    'bind',
    'loop=/dev/loop0',
    'offset=512',
  ]) {
    t.throws(() => userOptions([text]), { code: 'BAD_ARGUMENT', message: /^-o "/ }, text);
  }
  t.throws(() => userOptions(['rw']), { message: '-o "rw": images are read-only' });
  t.throws(() => userOptions(['a\0b']), { message: /is not an option$/ });
  t.end();
});

await test('options that would hide a FUSE mount or keep mount running are refused', (t) => {
  for (const text of ['fsname=a', 'allow_other,debug', 'blkdev']) {
    t.throws(
      () => userOptions([text], true),
      { code: 'BAD_ARGUMENT', message: /no meaning/ },
      text,
    );
  }
  t.same(userOptions(['debug'], false), ['debug'], 'mount(8) may have such an option');
  t.same(userOptions(['allow_other'], true), ['allow_other']);
  t.end();
});
