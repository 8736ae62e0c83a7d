// Images of RAFS (Nydus) that their own tools have written: their trees are what is expected, in every field, and damaged
// ones end as they must.
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import tap, { test } from 'tap';
import { compareTrees } from '../support/compare-trees.js';
import { DaemonProcess, runDaemon, shortFolder } from '../support/daemon-process.js';
import { treeOfDevice } from '../support/erofs/tree-of-device.js';
import { withLoopMount } from '../support/fuse-loop.js';
import { withDevice } from '../support/in-process.js';
import { expectedTree, requireLazyFixtures } from '../support/lazy-fixtures.js';
import { LayoutWriter } from '../support/layout-writer.js';
import { imageManifest, type Json } from '../support/memory-registry.js';
import { RawNbdClient } from '../support/nbd-client.js';
import { randomBytes, textBytes } from '../support/pattern.js';
import { withDictionary } from '../support/rafs-dictionary.js';
import { shareChunks } from '../support/rafs-shared-writer.js';
import { FaultFront } from '../support/registry/fault-front.js';
import { ImageLayout } from '../support/registry/image-layout.js';
import { describe, encodeJson } from '../support/registry/image-place.js';
import { OCI } from '../support/registry/media-types.js';
import { remoteOptions, REPOSITORY } from '../support/registry/remote-image.js';
import { writeRafs } from '../support/rafs-writer.js';
import { requireTool } from '../support/tools.js';
import { writeUstar } from '../support/ustar.js';

tap.setTimeout(300_000);

const ZSTD = 'f40-nydus-v6-zstd';
const DATA = 'be7d77eeb719f70884758d1aa800ed0fb09d701aaec469964e9d54325f0d5fef';

await test(ZSTD, async (t) => {
  const root = requireLazyFixtures(t);
  if (root === null) return;
  const blobs = join(root, ZSTD, 'blobs');
  await withDevice(
    [join(root, ZSTD, 'image.boot')],
    async ({ device }) => {
      const { lines, broken } = await treeOfDevice(device);
      t.equal(broken.size, 0);
      compareTrees(t, lines, expectedTree(root, ZSTD, 'expected.tree.jsonl'));
    },
    { blobs },
  );
});

await test('inspect and verify say what an image is taken for, and why', async (t) => {
  const root = requireLazyFixtures(t);
  if (root === null) return;
  const image = [join(root, ZSTD, 'image.boot'), '--blobs', join(root, ZSTD, 'blobs')];
  const inspected = await runDaemon(['inspect', ...image]);
  t.equal(inspected.code, 0, inspected.stderr);
  t.match(
    inspected.stdout,
    /RAFS v6 \(Nydus\) with chunks in zstd, digests by blake3, 1 data blob/,
  );
  t.match(inspected.stdout, /by the superblock of EROFS with the feature bit of RAFS/);
  const verified = await runDaemon(['verify', ...image]);
  t.equal(verified.code, 0, verified.stdout);
});

await test('a blob with a bootstrap in it is served alone', async (t) => {
  const root = requireLazyFixtures(t);
  if (root === null) return;
  const blob = join(root, ZSTD, 'toc-sample.blob');
  const verified = await runDaemon(['verify', blob]);
  t.equal(verified.code, 0, verified.stdout);
  const inspected = await runDaemon(['inspect', blob]);
  t.match(inspected.stdout, /by a table of contents with a bootstrap in a data blob/);
  const other = await runDaemon(['inspect', join(root, ZSTD, 'blobs', DATA)]);
  t.equal(other.code, 1);
  t.match(
    other.stderr,
    /a data blob of RAFS \(Nydus\), and its bootstrap is another file: name the file/,
  );
});

await test('f42-nydus-v6-bootstrap-only: its tree without its blob', async (t) => {
  const root = requireLazyFixtures(t);
  if (root === null) return;
  const layer = join(root, 'f42-nydus-v6-bootstrap-only/bootstrap-layer.tar.gz');
  const inspected = await runDaemon(['inspect', layer]);
  t.equal(inspected.code, 0, inspected.stderr);
  t.match(inspected.stdout, /RAFS v6 .* in lz4, digests by blake3, 1 data blob, in an archive/);
  t.match(inspected.stdout, /3517 inodes/);
  const missing = /a data blob that its files need is missing: cdde6f5645daea41[0-9a-f]+: /;
  t.match(inspected.stdout, missing);
  const verified = await runDaemon(['verify', layer]);
  t.equal(verified.code, 1);
  t.match(verified.stdout, missing);
  await t.rejects(
    withDevice([layer], () => undefined),
    { code: 'NOT_FOUND', message: missing },
  );
  const elsewhere = withDevice([layer], () => undefined, { blobs: join(root, ZSTD, 'blobs') });
  await t.rejects(elsewhere, { code: 'NOT_FOUND', message: /: it is not in .*blobs$/ });
  const file = withDevice([layer], () => undefined, { blobs: layer });
  await t.rejects(file, {
    code: 'BAD_ARGUMENT',
    message: /gz: not a folder: for a Nydus image --blobs/,
  });
});

const REFUSED: [file: string, code: string, message: RegExp][] = [
  ['f43-nydus-v5-refuse/v5.boot', 'UNSUPPORTED', /a bootstrap of RAFS v5 \(Nydus\): not supported/],
  [
    'neg-50-nydus-blob-table/image.boot',
    'BAD_FORMAT',
    /blob table at byte 1099511627776: expected/,
  ],
  ['neg-53-nydus-flags/image.boot', 'BAD_FORMAT', /flags that name one compressor, got lz4 and/],
];

await test('RAFS v5 in the layer of an image', async (t) => {
  const root = requireLazyFixtures(t);
  if (root === null) return;
  const boot = readFileSync(join(root, 'f43-nydus-v5-refuse/v5.boot'));
  const path = join(t.testdir(), 'layer.tar.gz');
  writeFileSync(path, gzipSync(writeUstar([{ name: 'image/image.boot', bytes: boot }])));
  await t.rejects(
    withDevice([path], () => undefined),
    { code: 'UNSUPPORTED', message: /image\.boot\): a bootstrap of RAFS v5 \(Nydus\)/ },
  );
});

for (const [file, code, message] of REFUSED) {
  await test(file, async (t) => {
    const root = requireLazyFixtures(t);
    if (root === null) return;
    const blobs = join(root, ZSTD, 'blobs');
    await t.rejects(
      withDevice([join(root, file)], () => undefined, { blobs }),
      { code, message },
    );
  });
}

await test('neg-52-nydus-blob-bit: one file cannot be read, the other can', async (t) => {
  const root = requireLazyFixtures(t);
  if (root === null) return;
  const blobs = join(root, 'neg-52-nydus-blob-bit');
  const boot = join(blobs, 'image.boot');
  await withDevice(
    [boot],
    async ({ device }) => {
      const { broken } = await treeOfDevice(device);
      // sync_io.rs has four pages.
      t.equal(broken.size, 4);
      for (const error of broken.values()) {
        t.match(error, { code: /^(?:BAD_CHECKSUM|BAD_DATA)$/, message: /be7d77ee.* at byte 4828/ });
      }
    },
    { blobs },
  );
  const verified = await runDaemon(['verify', boot, '--blobs', blobs]);
  t.equal(verified.code, 1);
  t.match(verified.stdout, /be7d77ee.*: piece 1 at byte 4828: .*; file "sync_io\.rs"/);
  if (!requireTool(t, 'nbdfuse', 'fusermount3', 'mount')) return;
  const daemon = await DaemonProcess.start(t, [boot, '--blobs', blobs]);
  await withLoopMount(t, daemon.socketPath, shortFolder(t), async (dir) => {
    await t.rejects(readFile(join(dir, 'sync_io.rs')), { code: 'EIO' });
    t.equal((await readFile(join(dir, 'lib.rs'))).length, 16_931);
  });
  const [line] = await daemon.waitForLines(/read of .* failed: /);
  t.match(line, /be7d77ee.* at byte 4828: .*; files? .*"sync_io\.rs".* of .*be7d77ee/);
  await daemon.stop(t);
});

await test('a data blob that was cut is refused with its name', async (t) => {
  const root = requireLazyFixtures(t);
  if (root === null) return;
  const folder = shortFolder(t);
  const boot = join(folder, 'image.boot');
  copyFileSync(join(root, ZSTD, 'image.boot'), boot);
  writeFileSync(
    join(folder, DATA),
    readFileSync(join(root, ZSTD, 'blobs', DATA)).subarray(0, 7000),
  );
  await t.rejects(
    withDevice([boot], () => undefined, { blobs: folder }),
    { code: 'BAD_FORMAT', message: /expected a chunk that ends by 7000, the end of .*be7d77ee/ },
  );
});

await test('a Nydus image in a layout opens by its name', async (t) => {
  const files = [
    { path: '', type: 'dir' as const, mode: 0o755 },
    { path: 'noise', type: 'reg' as const, bytes: randomBytes(1, 20_000) },
  ];
  const { bootstrap, blobs } = writeRafs(files, { blobs: 2 });
  const layout = new LayoutWriter(join(shortFolder(t), 'layout'));
  const boot = gzipSync(writeUstar([{ name: 'image/image.boot', bytes: bootstrap }]));
  const keys = { 'nydus-bootstrap': 'true', 'nydus-fs-version': '6' };
  const annotations = Object.fromEntries(
    Object.entries(keys).map(([key, value]) => [`containerd.io/snapshot/${key}`, value]),
  );
  const data = [...blobs.values()].map((bytes) => layout.blob(bytes, null));
  const image = (...layers: Json[]): Json =>
    imageManifest([...layers, { ...layout.blob(boot, null), annotations }]);
  layout.manifest(image(...data), 'whole');
  layout.manifest(image(...data.slice(1)), 'less');
  const inspected = await runDaemon(['inspect', `oci:${layout.folder}:whole`]);
  t.equal(inspected.code, 0, inspected.stderr);
  t.match(inspected.stdout, /RAFS v6 .*2 data blobs, in an archive, by its annotation/);
  const verified = await runDaemon(['verify', `oci:${layout.folder}:whole`]);
  t.equal(verified.code, 0, verified.stdout);
  t.notMatch(verified.stdout, /not verified/);
  const less = await runDaemon(['verify', `oci:${layout.folder}:less`]);
  t.equal(less.code, 1);
  t.match(
    less.stdout,
    /a data blob that its files need is missing: .*: the manifest does not have it/,
  );
});

/** Pushes an image with the blobs that its manifest has. */
async function pushImage(
  place: ImageLayout,
  tag: string,
  bootstrap: Buffer,
  data: readonly Buffer[],
): Promise<void> {
  const boot = gzipSync(writeUstar([{ name: 'image/image.boot', bytes: bootstrap }]));
  const config = encodeJson({ architecture: 'amd64', os: 'linux' });
  for (const bytes of [boot, config, ...data]) await place.putBytes(bytes);
  const annotations = {
    'containerd.io/snapshot/nydus-bootstrap': 'true',
    'containerd.io/snapshot/nydus-fs-version': '6',
  };
  const blobs = data.map((bytes) => ({
    ...describe('application/vnd.oci.image.layer.nydus.blob.v1', bytes),
    annotations: { 'containerd.io/snapshot/nydus-blob': 'true' },
  }));
  const layers = [...blobs, { ...describe(OCI.gzipLayer, boot), annotations }];
  const manifest = { schemaVersion: 2, mediaType: OCI.manifest, layers };
  const described = { ...manifest, config: describe(OCI.config, config) };
  await place.putManifest(encodeJson(described), OCI.manifest, tag);
}

await test('Nydus images of a registry, also with chunks in an ordinary layer, in batches and in a dictionary', async (t) => {
  const words = textBytes(1, 200_000);
  const files = [
    { path: '', type: 'dir' as const, mode: 0o755 },
    { path: 'words', type: 'reg' as const, bytes: words },
  ];
  const layout = new ImageLayout(join(shortFolder(t), 'layout'));
  const plain = writeRafs(files, { blobs: 2 });
  await pushImage(layout, 'chunks', plain.bootstrap, [...plain.blobs.values()]);
  const uncompressed = writeRafs(files, { codec: 'none' });
  const shared = { codec: 'zstd', infoCodec: 'zstd' } as const;
  const zran = await shareChunks(uncompressed, { ...shared, shared: 'zran' });
  const [layer, info] = [...zran.blobs.values()] as [Buffer, Buffer];
  await pushImage(layout, 'zran', zran.bootstrap, [info]);
  // The layer of the image that was converted: the manifest does not have it.
  await layout.putBytes(layer);
  const batch = await shareChunks(uncompressed, { ...shared, shared: 'batch' });
  await pushImage(layout, 'batch', batch.bootstrap, [...batch.blobs.values()]);
  const dictionary = withDictionary(plain);
  await pushImage(layout, 'dictionary', dictionary.bootstrap, [...dictionary.blobs.values()]);
  const front = await FaultFront.start(t, { repositories: { [REPOSITORY]: layout } });
  const folder = shortFolder(t);
  const config = join(folder, 'config.json');
  const tags = ['chunks', 'zran', 'batch', 'dictionary'];
  const exports = Object.fromEntries(tags.map((tag) => [tag, front.name(REPOSITORY, tag)]));
  writeFileSync(config, JSON.stringify({ exports }));
  const options = remoteOptions([front], join(folder, 'cache'));
  const daemon = await DaemonProcess.start(t, ['--config', config, ...options]);
  // The prefetch table has the root.
  await daemon.waitForLines(/prefetch hints of .* of them are in the cache/, 4, 120_000);
  for (const tag of tags) {
    const client = await RawNbdClient.open(daemon.unix, tag);
    const begin = await client.read(0, 4096);
    const bytes = await client.read(0, 4096 * begin.readUInt32LE(1024 + 36));
    t.ok(bytes.includes(words), tag);
    await client.disconnect();
    const verified = await runDaemon(['verify', `oci:${layout.folder}:${tag}`]);
    t.equal(verified.code, 0, verified.stdout);
  }
  await daemon.stop(t);
});

await test('--blobs with a layer that is not of Nydus', async (t) => {
  const folder = shortFolder(t);
  const layer = join(folder, 'layer.tar');
  writeFileSync(layer, writeUstar([{ name: 'file', bytes: Buffer.from('contents') }]));
  t.equal((await runDaemon(['inspect', layer])).code, 0);
  const got = await runDaemon(['inspect', layer, '--blobs', folder]);
  t.equal(got.code, 1);
  t.match(got.stderr, /layer\.tar: --blobs is for Nydus images and for EROFS images/);
});
