// Explanations of the messages of mount(8), umount(8) and FUSE programs, with advice.
import { test } from 'tap';
import { explainFuse, explainMount, explainUmount } from '../../../daemon/mount/explain.js';

const failed = (output: string) => ({ code: 32, output });

await test('mount: the message and one piece of advice', (t) => {
  for (const [output, advice] of [
    ["mount: /mnt: unknown filesystem type 'erofs'.", /; the kernel lacks .* modprobe erofs,/],
    ['mount: only root can do that', /; run it as root, or use mount --fuse$/],
    ['mount: /dev/nbd0 already mounted or mount point busy.', /; look with findmnt/],
    ['mount: wrong fs type, bad option, bad superblock on /dev/nbd0', /; the end of dmesg/],
    ["mount: can't read superblock: Input/output error", /; the end of dmesg/],
    ['mount: Input/output error', /; reads fail: see overlaybd-nbd status/],
  ] as const) {
    const text = explainMount('erofs', failed(output), []);
    t.ok(text.startsWith(output), output);
    t.match(text, advice);
  }
  t.equal(explainMount('ext4', failed('something new'), []), 'something new', 'no advice');
  t.end();
});

await test('a program without a message: its exit code', (t) => {
  t.equal(explainMount('ext4', failed(''), []), 'exit code 32');
  t.equal(explainUmount('/mnt', failed('')), 'exit code 32');
  t.equal(explainFuse({ code: -1, output: '' }), 'exit code -1');
  t.end();
});

await test('several lines become one', (t) => {
  t.equal(explainFuse(failed('one\n   two \n\n three')), 'one two three');
  t.end();
});

await test('devices with the same fsid are named', (t) => {
  const text = explainMount('btrfs', failed('mount: File exists'), ['/dev/nbd1', '/dev/nbd2']);
  t.match(text, /^mount: File exists\n\/dev\/nbd1, \/dev\/nbd2 holds a mounted btrfs .*6\.7/);
  t.end();
});

await test('umount and FUSE programs', (t) => {
  t.match(explainUmount('/a b', failed('umount: target is busy')), /fuser -vm \/a b lists/);
  t.match(explainUmount('/mnt', failed('umount: must be superuser')), /; run it as the user/);
  for (const [output, advice] of [
    ["fuse: unknown option `x'", /an option of -o$/],
    ['fusermount3: option allow_other only allowed if', /user_allow_other$/],
    ['fuse: device not found, try modprobe fuse', /access to \/dev\/fuse$/],
    ['fusermount3: user has no write access to mountpoint', /belong to the user who mounts$/],
  ] as const)
    t.match(explainFuse(failed(output)), advice, output);
  t.end();
});

await test('nbdfuse: an export that the server does not have', (t) => {
  const output =
    "nbd_connect_uri: handshake: server has no export named 'nope': No such file or directory";
  t.match(explainFuse(failed(output)), /; .*: nbdinfo --list URI lists those that it has$/);
  t.end();
});
