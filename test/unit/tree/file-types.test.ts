// Types of files by their modes, as the kernel's headers and node:fs have them, and numbers of devices.
import { constants } from 'node:fs';
import { test } from 'tap';
import { TYPE_BITS, deviceOfWord, typeOfMode } from '../../../daemon/tree/file-types.js';

await test('each type has the bits that Linux has, whatever the permissions are', (t) => {
  const { S_IFIFO, S_IFCHR, S_IFDIR, S_IFBLK, S_IFREG, S_IFLNK, S_IFSOCK } = constants;
  t.same(TYPE_BITS, {
    fifo: S_IFIFO,
    char: S_IFCHR,
    dir: S_IFDIR,
    block: S_IFBLK,
    reg: S_IFREG,
    symlink: S_IFLNK,
    socket: S_IFSOCK,
  });
  for (const [type, bits] of Object.entries(TYPE_BITS)) {
    t.equal(typeOfMode(bits | 0o7777), type);
  }
  t.equal(typeOfMode(0o7777), undefined);
  t.equal(typeOfMode(0o170000), undefined);
  t.end();
});

await test('a device number in one word: 8 bits of the minor number, 12 of the major one, 12 of the minor one', (t) => {
  t.same(deviceOfWord(0x0501), { major: 5, minor: 1 });
  t.same(deviceOfWord(0xffff_ffff), { major: 0xfff, minor: 0xf_ffff });
  t.same(deviceOfWord(0xabc1_23de), { major: 0x123, minor: 0xabcde });
  t.end();
});
