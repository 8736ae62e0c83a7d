// Layers that common tools have written: their trees are what is expected, in every field.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { compress } from 'zstd-napi';
import tap, { test, type Test } from 'tap';
import { writeArchive } from '../support/archive-writer.js';
import { compareTrees } from '../support/compare-trees.js';
import { DaemonProcess, runDaemon, shortFolder } from '../support/daemon-process.js';
import type { ReadDevice } from '../support/erofs/demand.js';
import { readErofs } from '../support/erofs/reader.js';
import { treeLines, type TreeLine } from '../support/erofs/tree-lines.js';
import { withoutLinks } from '../support/fixture-images.js';
import { asMounted, folderTree } from '../support/folder-tree.js';
import { readRange, withDevice } from '../support/in-process.js';
import { LayoutWriter } from '../support/layout-writer.js';
import { imageManifest } from '../support/memory-registry.js';
import { expectedTree, requireLazyFixtures } from '../support/lazy-fixtures.js';
import { withMountedImage } from '../support/loop-mount.js';
import { requireTool, runTool } from '../support/tools.js';

tap.setTimeout(300_000);

/** @param layers bottom first */
function linesOf(layers: readonly string[]): Promise<TreeLine[]> {
  return withDevice(layers, async ({ device }) => linesIn(await readRange(device, 0, device.size)));
}

function linesIn(device: Buffer): TreeLine[] {
  const read: ReadDevice = (offset, length) => device.subarray(offset, offset + length);
  return treeLines(readErofs(read, device.length).entries);
}

/** Of an image as a daemon serves it. */
async function servedLines(t: Test, image: string): Promise<TreeLine[]> {
  const daemon = await DaemonProcess.start(t, [image]);
  const copy = join(shortFolder(t), 'copy');
  const copied = await runTool('nbdcopy', [`nbd+unix://?socket=${daemon.socketPath}`, copy]);
  t.equal(copied.code, 0, copied.stderr);
  await daemon.stop(t);
  return linesIn(readFileSync(copy));
}

const TREES: [fixture: string, archive: string, tree: string][] = [
  ['f03-tar-pax', 'layer.tar', 'expected.tree.jsonl'],
  ['f04-tar-gnu', 'layer.tar', 'expected.tree.jsonl'],
  ['f05-tar-sparse', 'sparse-0.0.tar', 'expected.tree.jsonl'],
  ['f05-tar-sparse', 'sparse-0.1.tar', 'expected.tree.jsonl'],
  ['f05-tar-sparse', 'sparse-1.0.tar', 'expected.tree.jsonl'],
  ['f05-tar-sparse', 'sparse-oldgnu.tar', 'expected.tree.jsonl'],
  ['f06-tar-bsdtar', 'layer.tar', 'expected.tree.jsonl'],
  ['f07-tar-ustar-v7', 'ustar.tar', 'ustar.tree.jsonl'],
  ['f07-tar-ustar-v7', 'v7.tar', 'v7.tree.jsonl'],
  ['f20-soci', 'layer.tar.gz', 'expected.tree.jsonl'],
];

for (const [fixture, archive, tree] of TREES) {
  await test(`${fixture}: ${archive}`, async (t) => {
    const root = requireLazyFixtures(t);
    if (root === null) return;
    compareTrees(
      t,
      await linesOf([join(root, fixture, archive)]),
      expectedTree(root, fixture, tree),
    );
  });
}

await test('f01-oci-targz-umoci: an ordinary image of four layers in a layout', async (t) => {
  const root = requireLazyFixtures(t);
  if (root === null || !requireTool(t, 'nbdcopy')) return;
  const fixture = join(root, 'f01-oci-targz-umoci');
  const lines = await servedLines(t, `oci:${join(fixture, 'image')}`);
  compareTrees(t, lines, expectedTree(fixture, 'expected.tree.jsonl'));
});

await test('docker-archive: an ordinary image', async (t) => {
  const root = requireLazyFixtures(t);
  if (root === null || !requireTool(t, 'nbdcopy')) return;
  const config = Buffer.from('{}');
  const id = createHash('sha256').update(config).digest('hex');
  const layer = readFileSync(join(root, 'f03-tar-pax/layer.tar'));
  const manifest = [{ Config: `${id}.json`, RepoTags: ['app:1'], Layers: ['0/layer.tar'] }];
  const path = join(shortFolder(t), 'saved.tar');
  const members = [
    { name: '0/layer.tar', content: layer },
    { name: `${id}.json`, content: config },
    { name: 'manifest.json', content: JSON.stringify(manifest) },
  ];
  writeFileSync(path, writeArchive(members));
  const lines = await servedLines(t, `docker-archive:${path}`);
  compareTrees(t, lines, expectedTree(root, 'f03-tar-pax', 'expected.tree.jsonl'));
});

await test('f60-tarfs-kata: the tree that the index has, alone and merged', async (t) => {
  const root = requireLazyFixtures(t);
  if (root === null) return;
  const [layer, upper, opaque] = ['layer', 'upper', 'opaque'].map((name) =>
    join(root, 'f60-tarfs-kata', `${name}.tarfs`),
  ) as [string, string, string];
  for (const path of [layer, upper]) {
    const expected = expectedTree(path.replace('.tarfs', '.tree.jsonl'));
    compareTrees(t, withoutLinks(await linesOf([path])), withoutLinks(expected));
  }
  // The archive has no entry for the folder of its files.
  t.same(
    (await linesOf([opaque])).map(({ path }) => path),
    ['/'],
  );
  const paths = new Set((await linesOf([layer, upper])).map(({ path }) => path));
  t.ok(['/bin/su', '/wh/new'].every((path) => paths.has(path)));
  t.notOk(['/etc/shadow', '/wh/gone', '/wh/dirgone'].some((path) => paths.has(path)));
});

const BAD_INDEX: [fixture: string, message: RegExp][] = [
  ['neg-70-tarfs-table', /expected tarfs: a table of inodes before byte 4096, got 5 of 32 bytes/],
  ['neg-72-tarfs-unaligned', /expected tarfs: a multiple of 4096 bytes, got 7680/],
];

for (const [fixture, message] of BAD_INDEX) {
  await test(`${fixture}: refused`, async (t) => {
    const root = requireLazyFixtures(t);
    if (root === null) return;
    await t.rejects(linesOf([join(root, fixture, 'layer.tarfs')]), { code: 'BAD_FORMAT', message });
  });
}

const DAMAGED: [fixture: string, code: string, message: RegExp][] = [
  ['neg-30-tar-checksum', 'BAD_FORMAT', /checksum at byte 0: expected the sum of the bytes/],
  [
    'neg-31-tar-cut',
    'BAD_FORMAT',
    /after the header of "sizes\/s65537".*got the end at byte 88676/,
  ],
  ['neg-32-tar-hardlink-missing', 'BAD_FORMAT', /a hard link to/],
  [
    'neg-34-tar-negative-size',
    'BAD_FORMAT',
    /size at byte 0: expected no negative number, got -16/,
  ],
  ['neg-35-tar-huge-size', 'LIMIT', /size at byte 0: expected a number of at most 2\^53 - 1/],
];

for (const [fixture, code, message] of DAMAGED) {
  await test(`${fixture}: refused`, async (t) => {
    const root = requireLazyFixtures(t);
    if (root === null) return;
    await t.rejects(linesOf([join(root, fixture, 'layer.tar')]), { code, message });
  });
}

await test('neg-37: the name of a volume is not a file, and the file after it is there', async (t) => {
  const root = requireLazyFixtures(t);
  if (root === null) return;
  const lines = await linesOf([join(root, 'neg-37-tar-unknown-type/layer.tar')]);
  t.same(
    lines.map(({ path, type }) => [path, type]),
    [
      ['/', 'dir'],
      ['/a', 'reg'],
    ],
  );
});

await test('a daemon serves layers: clients copy them, and the kernel mounts the copy', async (t) => {
  const root = requireLazyFixtures(t);
  if (root === null || !requireTool(t, 'nbdcopy', 'nbdinfo', 'mount', 'umount', 'python3')) return;
  const layer = join(root, 'f03-tar-pax/layer.tar');
  const daemon = await DaemonProcess.start(t, [layer]);
  const folder = shortFolder(t);
  const [copy, dir] = [join(folder, 'copy'), join(folder, 'mnt')];
  const uri = `nbd+unix://?socket=${daemon.socketPath}`;
  const info = await runTool('nbdinfo', ['--size', uri]);
  t.equal(info.code, 0, info.stderr);
  const copied = await runTool('nbdcopy', [uri, copy]);
  t.equal(copied.code, 0, copied.stderr);
  t.equal(readFileSync(copy).length, Number(info.stdout));
  await daemon.stop(t);
  mkdirSync(dir);
  await withMountedImage(t, copy, dir, async () => {
    const expected = expectedTree(root, 'f03-tar-pax', 'expected.tree.jsonl');
    compareTrees(t, await folderTree(dir), asMounted(expected));
  });
});

await test('layers in zstd: of one frame and of several, as files and in a layout', async (t) => {
  const root = requireLazyFixtures(t);
  if (root === null || !requireTool(t, 'nbdcopy')) return;
  const bytes = readFileSync(join(root, 'f03-tar-pax/layer.tar'));
  const expected = expectedTree(root, 'f03-tar-pax', 'expected.tree.jsonl');
  const half = bytes.length / 2;
  const frames = [bytes.subarray(0, half), bytes.subarray(half)].map((each) => compress(each));
  const folder = shortFolder(t);
  const layout = new LayoutWriter(join(folder, 'layout'));
  const type = 'application/vnd.oci.image.layer.v1.tar+zstd';
  const layer = layout.blob(Buffer.concat(frames), null, type);
  layout.manifest(imageManifest([layer]), 'v1');
  const one = join(folder, 'layer.tar.zst');
  writeFileSync(one, compress(bytes));
  for (const image of [one, layout.pathOf(String(layer['digest'])), `oci:${layout.folder}:v1`]) {
    compareTrees(t, await servedLines(t, image), expected);
  }
  const verified = await runDaemon(['verify', one]);
  t.equal(verified.code, 0, verified.stdout + verified.stderr);
});

await test('a daemon serves a layer in gzip: clients see the bytes of the plain layer', async (t) => {
  const root = requireLazyFixtures(t);
  if (root === null || !requireTool(t, 'nbdcopy')) return;
  const plain = join(root, 'f03-tar-pax/layer.tar');
  const folder = shortFolder(t);
  const zipped = join(folder, 'layer.tar.gz');
  const bytes = readFileSync(plain);
  const half = bytes.length / 2;
  // Two members, and what is left of a tape.
  const members = [bytes.subarray(0, half), bytes.subarray(half)].map((each) => gzipSync(each));
  writeFileSync(zipped, Buffer.concat([...members, Buffer.alloc(10_240)]));
  const daemon = await DaemonProcess.start(t, [
    '--export',
    `a=${plain}`,
    '--export',
    `b=${zipped}`,
  ]);
  const copies: Buffer[] = [];
  for (const name of ['a', 'b']) {
    const uri = `nbd+unix:///${name}?socket=${daemon.socketPath}`;
    const copied = await runTool('nbdcopy', [uri, join(folder, name)]);
    t.equal(copied.code, 0, copied.stderr);
    copies.push(readFileSync(join(folder, name)).subarray(4096));
  }
  t.ok((copies[0] as Buffer).equals(copies[1] as Buffer), 'all but the superblock');
  await daemon.stop(t);
  const verified = await runDaemon(['verify', zipped]);
  t.equal(verified.code, 0, verified.stderr);
});

await test('verify and inspect', async (t) => {
  const root = requireLazyFixtures(t);
  if (root === null) return;
  const layers = ['f06-tar-bsdtar/layer.tar', 'f05-tar-sparse/sparse-oldgnu.tar'];
  const paths = layers.map((each) => join(root, each));
  const verified = await runDaemon(['verify', ...paths]);
  t.equal(verified.code, 0, verified.stderr);
  const inspected = await runDaemon(['inspect', '--json', ...paths]);
  t.equal(inspected.code, 0, inspected.stderr);
  t.match(inspected.stdout, /"format": "tar, by its first header"/);
  const cut = await runDaemon(['verify', join(root, 'neg-31-tar-cut/layer.tar')]);
  t.equal(cut.code, 1);
  t.match(cut.stdout + cut.stderr, /got the end at byte 88676/);
});
