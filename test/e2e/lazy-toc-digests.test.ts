// Layers with a table of contents of which the manifest has no digest. Such a layer is an archive, too, and is read as one: as a
// whole, against the digests that the image has of it. What a registry puts in place of it is refused.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import t, { type Test } from 'tap';
import { DaemonProcess, runDaemon, shortFolder } from '../support/daemon-process.js';
import { servedTree } from '../support/erofs/served-tree.js';
import { writeComposefs } from '../support/composefs-writer.js';
import { writeEstargz } from '../support/estargz-writer.js';
import { requireLazyFixtures } from '../support/lazy-fixtures.js';
import { writeLsmt } from '../support/lsmt-writer.js';
import { randomBytes } from '../support/pattern.js';
import { LAYER } from '../support/plain-image.js';
import { sha256 } from '../support/registry/image-place.js';
import { ImageLayout } from '../support/registry/image-layout.js';
import { pushFiles, type FilesLayer } from '../support/registry/push-image.js';
import { remoteImage, remoteOptions, REPOSITORY } from '../support/registry/remote-image.js';
import { writeTarfs } from '../support/tarfs-writer.js';
import { chunked, estargz } from '../support/two-layers.js';
import { writeUstar } from '../support/ustar.js';
import { writeZfile } from '../support/zfile-writer.js';

t.setTimeout(600_000);

const stargz = writeEstargz(
  [{ entry: { name: 'pieces', type: 'reg' }, bytes: Buffer.from('pieces\n') }],
  { form: 'stargz', isArchive: true },
);
const tarfs = writeTarfs([
  { path: '', mode: 0o040755 },
  { path: 'other', mode: 0o100644, bytes: Buffer.from('archive\n') },
]);
// Its index has another name for the file than its archive.
const renamed = Buffer.from(
  tarfs.bytes.toString('latin1').replace(/^other([^]*)other/, 'first$1other'),
  'latin1',
);
renamed.set(writeUstar([{ name: 'first', bytes: Buffer.from('archive\n') }]).subarray(0, 512));

const gz = (bytes: Buffer): FilesLayer => ({ bytes, mediaType: `${LAYER}+gzip` });
const zst = (bytes: Buffer): FilesLayer => ({ bytes, mediaType: `${LAYER}+zstd` });

const ALONE: [what: string, layer: FilesLayer, format: string, paths: string[]][] = [
  [
    'eStargz',
    gz(estargz.blob),
    'tar.gz',
    ['/', '/bin', '/bin/gone', '/bin/noise', '/stargz.index.json'],
  ],
  ['stargz', gz(stargz.blob), 'tar.gz', ['/', '/pieces', '/stargz.index.json']],
  ['zstd:chunked', zst(chunked.blob), 'tar.zst', ['/', '/hard', '/words']],
  ['tarfs', { bytes: renamed, mediaType: LAYER }, 'tar', ['/', '/first']],
];

async function paths(test: Test, name: string, args: readonly string[] = []): Promise<string[]> {
  const daemon = await DaemonProcess.start(test, [name, ...args]);
  const lines = await servedTree(daemon.unix);
  await daemon.stop(test);
  return lines.map(({ path }) => String(path));
}

for (const [what, layer, format, expected] of ALONE) {
  await t.test(`${what} alone: as an archive`, async (test) => {
    const { front, layout } = await remoteImage(test);
    await pushFiles(layout, 'app', [layer]);
    const inspected = await runDaemon(['inspect', `oci:${layout.folder}:app`]);
    test.match(inspected.stdout, new RegExp(`files \\(${format}, by `), inspected.stderr);
    test.same(await paths(test, `oci:${layout.folder}:app`), expected);
    const cache = join(shortFolder(test), 'cache');
    const name = front.name(REPOSITORY, 'app');
    test.same(await paths(test, name, remoteOptions([front], cache)), expected);
  });

  await t.test(`${what} alone: in place of what the digests say`, async (test) => {
    const { front, layout } = await remoteImage(test);
    const { bytes } = layer;
    // An archive of as many bytes, which has been pushed under its own name.
    const right = Buffer.alloc(bytes.length);
    (layer.mediaType.endsWith('gzip') ? gzipSync(writeUstar([])) : writeUstar([])).copy(right);
    await pushFiles(layout, 'app', [{ ...layer, bytes: right }]);
    writeFileSync(layout.blob(sha256(right))?.path as string, bytes);
    const options = remoteOptions([front], join(shortFolder(test), 'cache'));
    const images = [[front.name(REPOSITORY, 'app'), ...options]];
    // Of a plain archive on this machine only the headers are read.
    if (format !== 'tar') images.push([`oci:${layout.folder}:app`]);
    for (const image of images) {
      const { code, stdout, stderr } = await runDaemon(['ls', ...image]);
      test.equal(code, 1, stdout);
      test.match(stderr, new RegExp(`expected digest ${sha256(right)}, got ${sha256(bytes)} `));
    }
  });

  await t.test(`${what} alone: with another digest of its plain bytes`, async (test) => {
    const { front, layout } = await remoteImage(test);
    await pushFiles(layout, 'app', [{ ...layer, diffId: sha256(Buffer.from('other')) }]);
    const options = remoteOptions([front], join(shortFolder(test), 'cache'));
    const { code, stdout, stderr } = await runDaemon([
      'ls',
      front.name(REPOSITORY, 'app'),
      ...options,
    ]);
    test.equal(code, 1, stdout);
    test.match(stderr, /it unpacks to bytes with the digest sha256:\w+, and the configuration/);
  });
}

await t.test('below a layer of which the manifest has the digest', async (test) => {
  const layout = new ImageLayout(join(shortFolder(test), 'layout'));
  const annotations = {
    'io.github.containers.zstd-chunked.manifest-checksum': chunked.digest,
  };
  await pushFiles(layout, 'app', [gz(estargz.blob), { ...zst(chunked.blob), annotations }]);
  const name = `oci:${layout.folder}:app`;
  const inspected = await runDaemon(['inspect', name]);
  test.match(inspected.stdout, /files \(tar\.gz, by [^]*files \(zstd:chunked, /, inspected.stderr);
  test.same(await paths(test, name), [
    '/',
    '/bin',
    '/bin/noise',
    '/hard',
    '/stargz.index.json',
    '/words',
  ]);
  const verified = await runDaemon(['verify', name]);
  test.equal(verified.code, 0, verified.stderr);
});

await t.test('with the annotations of OverlayBD: as an archive', async (test) => {
  const layout = new ImageLayout(join(shortFolder(test), 'layout'));
  const annotations = {
    'containerd.io/snapshot/overlaybd/blob-digest': sha256(estargz.blob),
    'containerd.io/snapshot/overlaybd/blob-size': String(estargz.blob.length),
  };
  await pushFiles(layout, 'app', [{ ...gz(estargz.blob), annotations }]);
  const inspected = await runDaemon(['inspect', `oci:${layout.folder}:app`]);
  test.match(inspected.stdout, /files \(tar\.gz, by /, inspected.stderr);
});

await t.test('with --insecure-toc, by its table', async (test) => {
  const layout = new ImageLayout(join(shortFolder(test), 'layout'));
  await pushFiles(layout, 'app', [gz(estargz.blob)]);
  const name = `oci:${layout.folder}:app`;
  const inspected = await runDaemon(['inspect', '--insecure-toc', name]);
  test.match(inspected.stdout, /files \(eStargz, by a footer/, inspected.stderr);
  test.same(await paths(test, name, ['--insecure-toc']), ['/', '/bin', '/bin/gone', '/bin/noise']);
});

const disk = writeLsmt({
  virtualSize: 1 << 20,
  segments: [{ offset: 0, length: 100, data: randomBytes(1, 51_200) }],
});
const inline = writeComposefs([
  { path: '', mode: 0o040755 },
  { path: 'file', mode: 0o100644, inline: Buffer.from('inline\n') },
]).bytes;
const OTHERS: [what: string, bytes: Buffer][] = [
  ['a layer of a disk', disk],
  ['a compressed layer of a disk', writeZfile(disk)],
  ['composefs', inline],
];

const TYPES: [name: string, layer: (bytes: Buffer) => FilesLayer][] = [
  ['in gzip', gz],
  // Only the bytes say that it is an archive.
  ['that is not compressed', (bytes) => ({ bytes, mediaType: LAYER })],
];

const FORGED = OTHERS.flatMap(([what, bytes]) =>
  TYPES.map(([type, layer]) => [`${what} in place of an archive ${type}`, bytes, layer] as const),
);

for (const [what, bytes, layerOf] of FORGED) {
  await t.test(what, async (test) => {
    const { front, layout } = await remoteImage(test);
    const right = randomBytes(2, bytes.length);
    await pushFiles(layout, 'right', [layerOf(bytes)]);
    await pushFiles(layout, 'wrong', [layerOf(right)]);
    writeFileSync(layout.blob(sha256(right))?.path as string, bytes);
    const options = remoteOptions([front], join(shortFolder(test), 'cache'));
    const good = await runDaemon(['inspect', front.name(REPOSITORY, 'right'), ...options]);
    test.equal(good.code, 0, good.stderr);
    const wrong = await runDaemon(['inspect', front.name(REPOSITORY, 'wrong'), ...options]);
    test.equal(wrong.code, 1, wrong.stdout);
    const message = `expected digest ${sha256(right)}, got ${sha256(bytes)} `;
    test.match(wrong.stderr, new RegExp(message));
  });
}

for (const fixture of ['f10-estargz', 'f14-stargz-legacy', 'f16-zstdchunked-stargz']) {
  await t.test(`${fixture}: without annotations`, async (test) => {
    const root = requireLazyFixtures(test);
    if (root === null) return;
    const isZstd = fixture.includes('zstd');
    const bytes = readFileSync(join(root, fixture, isZstd ? 'layer.tar.zst' : 'layer.tar.gz'));
    const layout = new ImageLayout(join(shortFolder(test), 'layout'));
    await pushFiles(layout, 'app', [isZstd ? zst(bytes) : gz(bytes)]);
    const verified = await runDaemon(['verify', `oci:${layout.folder}:app`]);
    test.equal(verified.code, 0, verified.stdout + verified.stderr);
    const inspected = await runDaemon(['inspect', `oci:${layout.folder}:app`]);
    test.match(inspected.stdout, /files \(tar\./, inspected.stderr);
  });
}
