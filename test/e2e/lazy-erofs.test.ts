// EROFS images that mkfs.erofs has written are served as they are: the kernel's tree is what is expected, and damaged images
// are refused.
import { join } from 'node:path';
import tap, { test } from 'tap';
import { compareTrees } from '../support/compare-trees.js';
import { DaemonProcess, runDaemon, shortFolder } from '../support/daemon-process.js';
import { asMounted, folderTree } from '../support/folder-tree.js';
import { withLoopMount } from '../support/fuse-loop.js';
import { expectedTree, requireLazyFixtures } from '../support/lazy-fixtures.js';
import { requireTool } from '../support/tools.js';

tap.setTimeout(300_000);

await test('f50-erofs-plain: a daemon serves it, and the kernel mounts it', async (t) => {
  const root = requireLazyFixtures(t);
  if (root === null || !requireTool(t, 'nbdfuse', 'fusermount3', 'mount', 'python3')) return;
  const fixture = 'f50-erofs-plain';
  const daemon = await DaemonProcess.start(t, [join(root, fixture, 'image.erofs')]);
  await withLoopMount(t, daemon.socketPath, shortFolder(t), async (dir) => {
    const expected = expectedTree(root, fixture, 'expected.tree.jsonl');
    compareTrees(t, await folderTree(dir), asMounted(expected));
  });
  await daemon.stop(t);
});

const CASES: [image: string, code: number, message: RegExp][] = [
  ['f50-erofs-plain/image.erofs', 0, /\(EROFS, blocks of 4096 bytes; Linux 5\.4 and later\)/],
  ['f51-erofs-chunked-2dev/meta.erofs', 0, /chunked_file, device_table; Linux 5\.16 and later\)/],
  ['f52-erofs-512-blocks/image.erofs', 0, /blocks of 512 bytes; Linux 6\.4 and later/],
  ['f53-erofs-lz4/image.erofs', 0, /lz4_0padding, ztailpacking, fragments; Linux 6\.1 and later/],
  ['neg-40-erofs-crc/image.erofs', 1, /superblock at byte 1028: expected the checksum 0x/],
  ['neg-41-erofs-unknown-incompat/image.erofs', 0, /0x00800000; no known kernel/],
  ['neg-42-erofs-block-size/image.erofs', 1, /28 blocks of 8192 bytes, 229376 in all, got 114688/],
  ['neg-44-erofs-cut/image.erofs', 1, /28 blocks of 4096 bytes, 114688 in all, got 57344 bytes/],
];

for (const [image, code, message] of CASES) {
  await test(image, async (t) => {
    const root = requireLazyFixtures(t);
    if (root === null) return;
    const got = await runDaemon(['inspect', join(root, image)]);
    t.equal(got.code, code);
    t.match(got.stdout + got.stderr, message);
  });
}
