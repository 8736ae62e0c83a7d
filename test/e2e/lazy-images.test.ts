// Images whose layers are eStargz, zstd:chunked and plain archives: from a layout and from a registry, with what their
// manifests say about the tables of contents.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { CHUNK_SIZE } from '../../daemon/blob/chunk-map.js';
import { DaemonProcess, runDaemon, shortFolder } from '../support/daemon-process.js';
import { servedTree } from '../support/erofs/served-tree.js';
import type { TreeLine } from '../support/erofs/tree-lines.js';
import { writeEstargz } from '../support/estargz-writer.js';
import { requireLazyFixtures } from '../support/lazy-fixtures.js';
import { RawNbdClient } from '../support/nbd-client.js';
import { ImageLayout } from '../support/registry/image-layout.js';
import { pushFiles, type FilesLayer } from '../support/registry/push-image.js';
import { remoteImage, remoteOptions, REPOSITORY } from '../support/registry/remote-image.js';
import { chunked, estargz, lower, noise, words } from '../support/two-layers.js';
import { writeUstar } from '../support/ustar.js';

t.setTimeout(600_000);

const TOC_DIGEST = 'containerd.io/snapshot/stargz/toc.digest';
const MANIFEST_CHECKSUM = 'io.github.containers.zstd-chunked.manifest-checksum';
const LAYER = 'application/vnd.oci.image.layer.v1.tar';

const tar = writeUstar([{ name: 'plain', bytes: Buffer.from('plain\n') }]);

function layersWith(annotations: Record<string, string>): FilesLayer[] {
  return [
    { bytes: estargz.blob, mediaType: `${LAYER}+gzip`, annotations },
    { bytes: tar, mediaType: LAYER },
    {
      bytes: chunked.blob,
      mediaType: `${LAYER}+zstd`,
      annotations: { [MANIFEST_CHECKSUM]: chunked.digest },
    },
  ];
}
const good = layersWith({ [TOC_DIGEST]: estargz.digest });

function isGood(test: Test, lines: readonly TreeLine[]): void {
  test.same(
    lines.map(({ path, size, nlink }) => [path, size ?? 0, nlink]),
    [
      ['/', 0, 3],
      ['/bin', 0, 2],
      ['/bin/noise', noise.length, 1],
      ['/hard', words.length, 2],
      ['/plain', 6, 1],
      ['/words', words.length, 2],
    ],
  );
}

await t.test('from a layout: serve, inspect, verify', async (test) => {
  const layout = new ImageLayout(join(shortFolder(test), 'layout'));
  await pushFiles(layout, 'app', good);
  const name = `oci:${layout.folder}:app`;
  const daemon = await DaemonProcess.start(test, [name]);
  isGood(test, await servedTree(daemon.unix));
  await daemon.waitForLines(
    /3 layers of files \(1 as eStargz, by a footer of 51 bytes; 1 as tar, by its first header; 1 as zstd:chunked, by a footer with its magic\) as EROFS, 5 inodes/,
  );
  await daemon.stop(test);
  const verified = await runDaemon(['verify', name]);
  test.equal(verified.code, 0, verified.stderr);
  test.match(verified.stdout + verified.stderr, /good: 3 layers/);
  test.notMatch(verified.stdout + verified.stderr, /not verified/);
  const inspected = await runDaemon(['inspect', name]);
  test.match(inspected.stdout, new RegExp(`eStargz, by a footer of 51 bytes; .*${estargz.digest}`));
  test.match(inspected.stdout, new RegExp(`zstd:chunked, .*${chunked.digest}`));
});

await t.test('from a registry, lazily', async (test) => {
  const { front, layout } = await remoteImage(test);
  await pushFiles(layout, 'files', good);
  const cache = join(shortFolder(test), 'cache');
  const name = front.name(REPOSITORY, 'files');
  const daemon = await DaemonProcess.start(test, [name, ...remoteOptions([front], cache)]);
  const client = await RawNbdClient.open(daemon.unix);
  const begin = await client.read(0, 4096);
  test.equal(begin.readUInt32LE(1024), 0xe0f5_e1e2);
  await client.disconnect();
  isGood(test, await servedTree(daemon.unix));
  await daemon.stop(test);
  test.same(front.log.violations(), []);
});

await t.test(
  'what is in front of a prefetch landmark is fetched before it is read',
  async (test) => {
    const { front, layout } = await remoteImage(test);
    const landmark = { entry: { name: '.prefetch.landmark', type: 'reg' }, bytes: Buffer.of(0xf) };
    const { blob, digest } = writeEstargz([...lower.slice(0, 2), landmark, ...lower.slice(2)], {
      form: 'eStargz',
      pieceSize: 1 << 20,
    });
    const layer = {
      bytes: blob,
      mediaType: `${LAYER}+gzip`,
      annotations: { [TOC_DIGEST]: digest },
    };
    await pushFiles(layout, 'hints', [layer]);
    const cache = join(shortFolder(test), 'cache');
    const name = front.name(REPOSITORY, 'hints');
    const daemon = await DaemonProcess.start(test, [name, ...remoteOptions([front], cache)]);
    const pattern = /prefetch hints of .*: (\d+) chunks of them are in the cache/;
    const [line = ''] = await daemon.waitForLines(pattern);
    const chunks = Number(pattern.exec(line)?.[1]);
    // The noise cannot be compressed, and little else is in front of the landmark.
    test.equal(chunks, Math.ceil(noise.length / CHUNK_SIZE), line);
    await daemon.stop(test);
  },
);

const WRONG: [what: string, layers: FilesLayer[], message: RegExp][] = [
  [
    'another digest',
    layersWith({ [TOC_DIGEST]: `sha256:${'0'.repeat(64)}` }),
    /table of contents at byte \d+: expected the digest sha256:0{64}, got sha256:/,
  ],
  [
    'the digest of another kind of table',
    layersWith({ [MANIFEST_CHECKSUM]: chunked.digest }),
    /the manifest has no digest of the table of contents, so it cannot be verified/,
  ],
  [
    'what is no digest',
    layersWith({ [TOC_DIGEST]: 'sha256:0' }),
    /layer 0 of 3: its annotation .*toc\.digest: expected "sha256:" and 64 digits, got "sha256:0"/,
  ],
];

for (const [what, layers, message] of WRONG) {
  await t.test(`${what} is refused`, async (test) => {
    const layout = new ImageLayout(join(shortFolder(test), 'layout'));
    await pushFiles(layout, 'app', layers);
    const { code, stdout, stderr } = await runDaemon(['inspect', `oci:${layout.folder}:app`]);
    test.not(code, 0);
    test.match(stdout + stderr, message);
  });
}

const FIXTURES: [fixture: string, blob: string][] = [
  ['f10-estargz', 'layer.tar.gz'],
  ['f11-estargz-prefetch-chunk64k', 'layer.tar.gz'],
  ['f16-zstdchunked-stargz', 'layer.tar.zst'],
  ['f18-zstdchunked-storage-new', 'layer.tar.zst'],
];

for (const [fixture, blob] of FIXTURES) {
  await t.test(`${fixture}: with the annotations of its own tool`, async (test) => {
    const root = requireLazyFixtures(test);
    if (root === null) return;
    const layout = new ImageLayout(join(shortFolder(test), 'layout'));
    const bytes = readFileSync(join(root, fixture, blob));
    const annotations = annotationsOf(join(root, fixture));
    await pushFiles(layout, 'app', [{ bytes, mediaType: `${LAYER}+gzip`, annotations }]);
    const { code, stdout, stderr } = await runDaemon(['verify', `oci:${layout.folder}:app`]);
    test.equal(code, 0, stdout + stderr);
    test.notMatch(stdout + stderr, /not verified/);
  });
}

/** What the tool wrote into the manifest. */
function annotationsOf(folder: string): Record<string, string> {
  const json = (name: string): Record<string, unknown> | null => {
    const path = join(folder, name);
    return existsSync(path)
      ? (JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>)
      : null;
  };
  const info = json('info.json');
  if (!info) return json('annotations.json') as Record<string, string>;
  return { ...(info['meta'] as Record<string, string>), [TOC_DIGEST]: String(info['tocDigest']) };
}
