// Images of eStargz whose tables of contents are in another image, which has the tag of the first one with a suffix.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { DaemonProcess, runDaemon, shortFolder } from '../support/daemon-process.js';
import { servedTree } from '../support/erofs/served-tree.js';
import { writeEstargz } from '../support/estargz-writer.js';
import { expectedTree, requireLazyFixtures } from '../support/lazy-fixtures.js';
import { LAYER } from '../support/plain-image.js';
import { sha256, type ImagePlace } from '../support/registry/image-place.js';
import { ImageLayout } from '../support/registry/image-layout.js';
import { pushFiles } from '../support/registry/push-image.js';
import { remoteImage, remoteOptions, REPOSITORY } from '../support/registry/remote-image.js';
import { lower, noise } from '../support/two-layers.js';

t.setTimeout(600_000);

const TOC_DIGEST = 'containerd.io/snapshot/stargz/toc.digest';
const LAYER_DIGEST = 'containerd.io/snapshot/stargz/layer.digest';

interface Written {
  blob: Buffer;
  digest: string;
  tocBlob: Buffer | null;
}

const own = writeEstargz(lower, { form: 'eStargz with an external TOC', pieceSize: 1 << 20 });
const other = writeEstargz([{ entry: { name: 'other', type: 'reg' }, bytes: noise }], {
  form: 'eStargz with an external TOC',
});

/** @param tocs of the second image; it is not pushed if there are none */
async function push(place: ImagePlace, layer: Written, tocs: [toc: Buffer, of: Buffer][]) {
  const mediaType = `${LAYER}+gzip`;
  const annotations = { [TOC_DIGEST]: layer.digest };
  await pushFiles(place, 'app', [{ bytes: layer.blob, mediaType, annotations }]);
  if (tocs.length === 0) return;
  const layers = tocs.map(([bytes, of]) => ({
    bytes,
    mediaType,
    annotations: { [LAYER_DIGEST]: sha256(of) },
  }));
  await pushFiles(place, 'app-esgztoc', layers);
}

const both: [Buffer, Buffer][] = [other, own].map(({ tocBlob, blob }) => [tocBlob as Buffer, blob]);

async function isGood(test: Test, daemon: DaemonProcess): Promise<void> {
  const lines = await servedTree(daemon.unix);
  test.same(
    lines.map(({ path, size }) => [path, size ?? 0]),
    [
      ['/', 0],
      ['/bin', 0],
      ['/bin/gone', 70_000],
      ['/bin/noise', noise.length],
    ],
  );
}

await t.test('in a layout', async (test) => {
  const layout = new ImageLayout(join(shortFolder(test), 'layout'));
  await push(layout, own, both);
  const name = `oci:${layout.folder}:app`;
  const daemon = await DaemonProcess.start(test, [name]);
  await isGood(test, daemon);
  await daemon.stop(test);
  const verified = await runDaemon(['verify', name]);
  test.equal(verified.code, 0, verified.stdout + verified.stderr);
  test.notMatch(verified.stdout + verified.stderr, /not verified/);
});

await t.test('in a registry, which may be gone later', async (test) => {
  const { front, layout } = await remoteImage(test);
  await push(layout, own, both);
  const options = remoteOptions([front], join(shortFolder(test), 'cache'));
  const args = [front.name(REPOSITORY, 'app'), ...options];
  const daemon = await DaemonProcess.start(test, args);
  await isGood(test, daemon);
  await daemon.stop(test);
  test.same(front.log.violations(), []);
  const before = front.log.filter({ kind: 'blob' }).length;
  const again = await DaemonProcess.start(test, args);
  await isGood(test, again);
  await again.stop(test);
  test.equal(front.log.filter({ kind: 'blob' }).length, before, 'all of it is in the cache');
});

const WRONG: [what: string, tocs: [Buffer, Buffer][], message: RegExp][] = [
  [
    'there is no such image',
    [],
    /its table of contents is in another image, and that cannot be used: .*app-esgztoc/,
  ],
  [
    'it has none of this layer',
    [[own.tocBlob as Buffer, other.blob]],
    /app-esgztoc: no table of contents of sha256:/,
  ],
  [
    'it has another one for this layer',
    [[other.tocBlob as Buffer, own.blob]],
    /table of contents at byte 0: expected the digest sha256:\w+, got sha256:/,
  ],
];

for (const [what, tocs, message] of WRONG) {
  await t.test(what, async (test) => {
    const layout = new ImageLayout(join(shortFolder(test), 'layout'));
    await push(layout, own, tocs);
    const { code, stderr } = await runDaemon(['ls', `oci:${layout.folder}:app`]);
    test.equal(code, 1);
    test.match(stderr, message);
  });
}

await t.test('an image without a tag', async (test) => {
  const layout = new ImageLayout(join(shortFolder(test), 'layout'));
  await push(layout, own, []);
  const { code, stderr } = await runDaemon(['ls', `oci:${layout.folder}`]);
  test.equal(code, 1);
  test.match(stderr, /is found only by the tag of the image: name the image with it/);
});

await t.test('f13-estargz-external-toc', async (test) => {
  const root = requireLazyFixtures(test);
  if (root === null) return;
  const fixture = join(root, 'f13-estargz-external-toc');
  const { tocDigest } = JSON.parse(readFileSync(join(fixture, 'info.json'), 'utf8')) as {
    tocDigest: string;
  };
  const blob = readFileSync(join(fixture, 'layer.tar.gz'));
  const tocBlob = readFileSync(join(fixture, 'layer.tar.gz.toc.tar.gz'));
  const layout = new ImageLayout(join(shortFolder(test), 'layout'));
  await push(layout, { blob, digest: tocDigest, tocBlob }, [[tocBlob, blob]]);
  const verified = await runDaemon(['verify', `oci:${layout.folder}:app`]);
  test.equal(verified.code, 0, verified.stdout + verified.stderr);
  const daemon = await DaemonProcess.start(test, [`oci:${layout.folder}:app`]);
  const lines = await servedTree(daemon.unix);
  await daemon.stop(test);
  const expected = expectedTree(fixture, 'expected.tree.jsonl');
  test.same(
    lines.map(({ path, type, size }) => [path, type, size]),
    expected.map(({ path, type, size }) => [path, type, size]),
  );
});
