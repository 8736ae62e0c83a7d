// EROFS images that mkfs.erofs has written: those on one device are served as they are, those on several become one device. The
// kernel's tree is what is expected, and damaged images are refused.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import tap, { test } from 'tap';
import { compareTrees } from '../support/compare-trees.js';
import { DaemonProcess, runDaemon, shortFolder } from '../support/daemon-process.js';
import { servedTree } from '../support/erofs/served-tree.js';
import { expectedTree, requireLazyFixtures } from '../support/lazy-fixtures.js';

tap.setTimeout(300_000);

const TWO_DEVICES = 'f51-erofs-chunked-2dev';
const TAR_INDEX = 'f56-erofs-tar-i';
const EXPORTS: [fixture: string, image: string, blobs: string][] = [
  [TWO_DEVICES, 'meta.erofs', 'blob.dev'],
  [TAR_INDEX, 'meta.erofs', ''],
];

for (const [fixture, image, blobs] of EXPORTS) {
  await test(`${fixture}: a daemon serves it`, async (t) => {
    const root = requireLazyFixtures(t);
    if (root === null) return;
    const expected = expectedTree(root, fixture, 'expected.tree.jsonl');
    const option = ['--blobs', join(root, fixture, blobs)];
    const daemon = await DaemonProcess.start(t, [join(root, fixture, image), ...option]);
    compareTrees(t, await servedTree(daemon.unix), expected);
    await daemon.stop(t);
  });
}

await test('without a mount, and devices that are missing or wrong', async (t) => {
  const root = requireLazyFixtures(t);
  if (root === null) return;
  const [two, tar] = [join(root, TWO_DEVICES), join(root, TAR_INDEX)];
  const image = join(tar, 'meta.erofs');
  const cases: [args: string[], code: number, message: RegExp][] = [
    [['verify', image, '--blobs', tar], 0, /good: 1 layer; 820\.0 KiB checked/],
    [['ls', image, '--blobs', tar, '--', '/bin'], 0, /^su\nwall\n$/],
    [
      ['verify', image],
      1,
      /device 1 of 1, without a tag, 838144 bytes: name its file, or the folder that has it as "1" with --blobs/,
    ],
    [['inspect', image, '--blobs', root], 0, /838144 bytes: name its file/],
    [
      ['ls', image, '--blobs', join(two, 'blob.dev')],
      1,
      /blob\.dev: device 1 at byte 0: expected 838144 bytes, and at most 1048576 more, got 368640/,
    ],
  ];
  for (const [args, code, message] of cases) {
    const got = await runDaemon(args);
    t.equal(got.code, code, got.stderr);
    t.match(got.stdout + got.stderr, message);
  }
});

await test('an archive after its index: a disk as it is', async (t) => {
  const root = requireLazyFixtures(t);
  if (root === null) return;
  const path = join(shortFolder(t), 'image.erofs');
  const parts = ['meta.erofs', 'layer.tar'].map((name) =>
    readFileSync(join(root, TAR_INDEX, name)),
  );
  writeFileSync(path, Buffer.concat(parts));
  const got = await runDaemon(['inspect', path]);
  t.match(got.stdout, /\(EROFS, blocks of 512 bytes, device_table; Linux 6\.4 and later\)/);
});

const CASES: [image: string, code: number, message: RegExp][] = [
  ['f50-erofs-plain/image.erofs', 0, /\(EROFS, blocks of 4096 bytes; Linux 5\.4 and later\)/],
  [
    `${TWO_DEVICES}/meta.erofs`,
    0,
    /EROFS with 1 further device, by its superblock: .*, chunked_file, device_table; Linux 5\.16 and later mounts it as it is/,
  ],
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
