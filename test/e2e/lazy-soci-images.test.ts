// Ordinary images with SOCI indexes: of version 1, which refer to an image, and of version 2, which an image names; from a
// layout and from a registry. One of the layers has no ztoc.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import t, { type Test } from 'tap';
import { DaemonProcess, runDaemon, shortFolder } from '../support/daemon-process.js';
import { readErofs } from '../support/erofs/reader.js';
import { treeLines } from '../support/erofs/tree-lines.js';
import { RawNbdClient } from '../support/nbd-client.js';
import { randomBytes, textBytes } from '../support/pattern.js';
import { describe, encodeJson, type ImagePlace } from '../support/registry/image-place.js';
import { ImageLayout } from '../support/registry/image-layout.js';
import { FaultFront } from '../support/registry/fault-front.js';
import { OCI, type Descriptor } from '../support/registry/media-types.js';
import { remoteImage, remoteOptions, REPOSITORY } from '../support/registry/remote-image.js';
import { estargz } from '../support/two-layers.js';
import { writeUstar } from '../support/ustar.js';
import { writeZtoc } from '../support/ztoc-writer.js';

t.setTimeout(600_000);

const SOCI = 'application/vnd.amazon.soci.index.v';
const noise = randomBytes(1, 400_000);
const words = textBytes(2, 300_000);

const lower = await writeZtoc(writeUstar([{ name: 'noise', bytes: noise }]), {
  form: 'gzip',
  spanSize: 50_000,
});
const small = gzipSync(writeUstar([{ name: 'small', bytes: Buffer.from('small\n') }]));
const upper = await writeZtoc(writeUstar([{ name: 'words', bytes: words }]), {
  form: 'plain',
  spanSize: 50_000,
});

interface Wrong {
  /** In place of the ztoc of the lower layer. */
  ztoc?: Buffer;
  /** In place of the digest of the image. */
  subject?: string;
  /** The index is named, and is not there. */
  isMissing?: boolean;
  /** The image names something else as its index. */
  named?: 'a manifest' | 'no digest';
  /** Nothing leads from the image to its index. */
  isHidden?: boolean;
  /** In place of the layer without a ztoc. */
  plain?: Buffer;
}

/** Pushes the image with an index of this version. @returns the index */
async function push(
  place: ImagePlace,
  tag: string,
  version: 1 | 2,
  wrong: Wrong = {},
): Promise<Buffer> {
  const layers: Descriptor[] = [];
  const ztocs: Descriptor[] = [];
  for (const { bytes, mediaType, ztoc } of [
    { bytes: lower.layer, mediaType: OCI.gzipLayer, ztoc: lower.ztoc },
    { bytes: wrong.plain ?? small, mediaType: OCI.gzipLayer, ztoc: null },
    { bytes: upper.layer, mediaType: OCI.layer, ztoc: upper.ztoc },
  ]) {
    await place.putBytes(bytes);
    const layer = describe(mediaType, bytes);
    layers.push(layer);
    if (!ztoc) continue;
    const stored = ztoc === lower.ztoc ? (wrong.ztoc ?? ztoc) : ztoc;
    await place.putBytes(stored);
    ztocs.push({
      ...describe('application/octet-stream', stored),
      annotations: {
        'com.amazon.soci.image-layer-mediaType': mediaType,
        'com.amazon.soci.image-layer-digest': layer.digest,
        'com.amazon.soci.span-size': '50000',
      },
    });
  }
  const prefetch = encodeJson({ version: '1.0', prefetch_spans: [{ start_span: 0, end_span: 1 }] });
  await place.putBytes(prefetch);
  ztocs.push({
    ...describe('application/vnd.amazon.soci.prefetch.v1+json', prefetch),
    annotations: { 'com.amazon.soci.image-layer-digest': describe('', lower.layer).digest },
  });
  const config = encodeJson({ architecture: 'amd64', os: 'linux', rootfs: { type: 'layers' } });
  await place.putBytes(config);
  await place.putBytes(Buffer.from('{}'));
  const indexOf = (more: Record<string, unknown>): Buffer =>
    encodeJson({
      schemaVersion: 2,
      mediaType: OCI.manifest,
      config: describe(`${SOCI}${version}+json`, Buffer.from('{}')),
      layers: ztocs,
      annotations: { 'com.amazon.soci.build-tool-identifier': 'test' },
      ...more,
    });
  const manifestOf = (more: Record<string, unknown>): Buffer =>
    encodeJson({
      schemaVersion: 2,
      mediaType: OCI.manifest,
      config: describe(OCI.config, config),
      layers,
      ...more,
    });
  const platform = { os: 'linux', architecture: process.arch === 'arm64' ? 'arm64' : 'amd64' };
  if (version === 1) {
    const manifest = manifestOf({});
    const plain = describe(OCI.manifest, manifest);
    await place.putManifest(manifest, OCI.manifest, tag);
    const index = indexOf({
      subject: { ...plain, ...(wrong.subject && { digest: wrong.subject }) },
    });
    await place.putManifest(index, OCI.manifest, null);
    if (wrong.isHidden) return index;
    const entry = { ...describe(OCI.manifest, index), artifactType: `${SOCI}1+json` };
    const list = encodeJson({ schemaVersion: 2, mediaType: OCI.index, manifests: [entry] });
    await place.putManifest(list, OCI.index, plain.digest.replace(':', '-'));
    return index;
  }
  const index = indexOf({});
  const soci = describe(OCI.manifest, index);
  if (!wrong.isMissing) await place.putManifest(index, OCI.manifest, null);
  const other = manifestOf({});
  if (wrong.named) await place.putManifest(other, OCI.manifest, null);
  const named =
    wrong.named === 'a manifest'
      ? describe(OCI.manifest, other).digest
      : wrong.named === 'no digest'
        ? 'sha256:0'
        : soci.digest;
  const manifest = manifestOf({ annotations: { 'com.amazon.soci.index-digest': named } });
  await place.putManifest(manifest, OCI.manifest, null);
  const plain = describe(OCI.manifest, manifest);
  const manifests = [
    {
      ...soci,
      platform,
      artifactType: `${SOCI}2+json`,
      annotations: { 'com.amazon.soci.image-manifest-digest': plain.digest },
    },
    { ...plain, platform },
  ];
  const top = encodeJson({ schemaVersion: 2, mediaType: OCI.index, manifests });
  await place.putManifest(top, OCI.index, tag);
  return index;
}

async function isGood(test: Test, daemon: DaemonProcess): Promise<void> {
  const client = await RawNbdClient.open(daemon.unix);
  const begin = await client.read(0, 4096);
  // The superblock has the number of blocks.
  const bytes = await client.read(0, 4096 * begin.readUInt32LE(1024 + 36));
  await client.disconnect();
  const { entries } = readErofs((at, n) => bytes.subarray(at, at + n), bytes.length);
  test.same(
    treeLines(entries).map(({ path, size }) => [path, size ?? 0]),
    [
      ['/', 0],
      ['/noise', noise.length],
      ['/small', 6],
      ['/words', words.length],
    ],
  );
  for (const content of [noise, words]) test.ok(bytes.includes(content));
}

for (const version of [1, 2] as const) {
  await t.test(`version ${version}, from a layout`, async (test) => {
    const layout = new ImageLayout(join(shortFolder(test), 'layout'));
    await push(layout, 'app', version);
    const name = `oci:${layout.folder}:app`;
    const inspected = await runDaemon(['inspect', name]);
    test.equal(inspected.code, 0, inspected.stderr);
    test.match(inspected.stdout, /the SOCI index sha256:\w{64} is used: 2 of 3 layers with a ztoc/);
    test.match(
      inspected.stdout,
      /files \(SOCI, by a ztoc .*gzip, \d+ spans; ztoc sha256:[^]*files \(tar\.gz, by the magic of gzip[^]*uncompressed/,
    );
    test.notMatch(inspected.stdout, /not verified/);
    const verified = await runDaemon(['verify', name]);
    test.equal(verified.code, 0, verified.stdout);
    const daemon = await DaemonProcess.start(test, [name]);
    await isGood(test, daemon);
    await daemon.stop(test);
  });

  await t.test(`version ${version}, from a registry, lazily`, async (test) => {
    const { front, layout } = await remoteImage(test);
    await push(layout, 'soci', version);
    const cache = join(shortFolder(test), 'cache');
    const name = front.name(REPOSITORY, 'soci');
    const daemon = await DaemonProcess.start(test, [name, ...remoteOptions([front], cache)]);
    // The index has a list of spans to prefetch.
    await daemon.waitForLines(/prefetch hints of .* of them are in the cache/, 1, 120_000);
    await isGood(test, daemon);
    await daemon.stop(test);
    test.same(front.log.violations(), []);
  });
}

await t.test('a layer of eStargz without a ztoc is read as an archive', async (test) => {
  const layout = new ImageLayout(join(shortFolder(test), 'layout'));
  await push(layout, 'app', 2, { plain: estargz.blob });
  const name = `oci:${layout.folder}:app`;
  const inspected = await runDaemon(['inspect', name]);
  test.match(
    inspected.stdout,
    /files \(SOCI, [^]*files \(tar\.gz, by the magic of gzip/,
    inspected.stderr,
  );
  const layer = layout.blob(describe('', estargz.blob).digest)?.path as string;
  const other = Buffer.from(estargz.blob);
  // The modification time in the header of the first gzip member.
  other.writeUInt8(1, 4);
  await writeFile(layer, other);
  const { code, stderr } = await runDaemon(['ls', name]);
  test.equal(code, 1);
  test.match(stderr, /expected digest sha256:\w+, got sha256:\w+ \(/);
});

await t.test('--soci-index names it: by its digest or as a file', async (test) => {
  const { front, layout } = await remoteImage(test);
  const subject = `sha256:${'0'.repeat(64)}`;
  const index = await push(layout, 'hidden', 1, { isHidden: true, subject });
  const file = join(shortFolder(test), 'index.json');
  await writeFile(file, index);
  const { digest } = describe(OCI.manifest, index);
  const name = `oci:${layout.folder}:hidden`;
  const plain = await runDaemon(['inspect', name]);
  test.notMatch(plain.stdout, /SOCI/);
  for (const given of [digest, file]) {
    const got = await runDaemon(['inspect', name, '--soci-index', given]);
    test.equal(got.code, 0, got.stderr);
    test.match(got.stdout, new RegExp(`the SOCI index ${digest} is used: 2 of 3 layers`));
  }
  const cache = join(shortFolder(test), 'cache');
  const daemon = await DaemonProcess.start(test, [
    front.name(REPOSITORY, 'hidden'),
    '--soci-index',
    file,
    ...remoteOptions([front], cache),
  ]);
  await isGood(test, daemon);
  await daemon.stop(test);
  // In another registry, with a login of its own.
  const elsewhere = new ImageLayout(join(shortFolder(test), 'elsewhere'));
  for (const { ztoc } of [lower, upper]) await elsewhere.putBytes(ztoc);
  await elsewhere.putManifest(index, OCI.manifest, 'index');
  const other = await FaultFront.start(test, {
    repositories: { 'soci/indexes': elsewhere },
    auth: { scheme: 'basic', users: { ann: 'secret' } },
  });
  const logins = join(shortFolder(test), 'logins.json');
  const auth = Buffer.from('ann:secret').toString('base64');
  await writeFile(logins, JSON.stringify({ auths: { [other.host]: { auth } } }));
  const apart = await DaemonProcess.start(test, [
    front.name(REPOSITORY, 'hidden'),
    '--soci-index',
    `docker://${other.name('soci/indexes', 'index')}`,
    ...remoteOptions([front, other], join(shortFolder(test), 'cache')),
    '--registry-config',
    logins,
  ]);
  await isGood(test, apart);
  await apart.stop(test);
  test.ok(other.log.filter({ kind: 'blob' }).length > 0, 'the ztocs are there, too');
  const inLayout = `oci:${elsewhere.folder}:index`;
  const byDigest = `oci:${elsewhere.folder}@${digest}`;
  const remote = [front.name(REPOSITORY, 'hidden'), ...remoteOptions([front], cache)];
  const open = remoteOptions([front, other], cache);
  for (const args of [
    [name, '--soci-index', inLayout],
    [name, '--soci-index', byDigest],
    [...remote, '--soci-index', inLayout],
    [
      front.name(REPOSITORY, 'hidden'),
      '--soci-index',
      other.name('soci/indexes', 'index').replace('docker://', ''),
      ...open,
      '--registry-config',
      logins,
    ],
  ]) {
    const got = await runDaemon(['verify', ...args]);
    test.match(
      got.stdout,
      new RegExp(`the SOCI index ${digest} is used: 2 of 3 layers`),
      got.stderr,
    );
    test.match([got.code, got.stdout], [0, /good: 3 layers/], got.stderr);
  }
  const layer = layout.blob(describe('', upper.layer).digest)?.path as string;
  const cases: [args: string[], code: number, message: RegExp][] = [
    [[name, '--soci-index', subject], 1, /0{64}/],
    [[name, '--soci-index', '/proc/nonexistent'], 1, /\/nonexistent/],
    [[name, '--soci-index', layer], 1, /SOCI index/],
    [
      [name, '--soci-index', `${inLayout}-none`],
      1,
      /index\.json has no index-none; it has "index"/,
    ],
    [[layer, '--soci-index', file], 2, /--soci-index: only for images of registries and layouts/],
    [
      [`docker-archive:${file}`, '--soci-index', file],
      2,
      /only for images of registries and layouts/,
    ],
  ];
  for (const [args, code, message] of cases) {
    const got = await runDaemon(['inspect', ...args]);
    test.equal(got.code, code, args.join(' '));
    test.match(got.stdout + got.stderr, message);
  }
});

await t.test('a ztoc with another digest', async (test) => {
  const layout = new ImageLayout(join(shortFolder(test), 'layout'));
  await push(layout, 'app', 2);
  const changed = Buffer.from(lower.ztoc);
  changed[changed.length - 100] = (changed[changed.length - 100] as number) ^ 1;
  const path = layout.blob(describe('', lower.ztoc).digest)?.path as string;
  await writeFile(path, changed);
  const got = await runDaemon(['inspect', `oci:${layout.folder}:app`]);
  test.equal(got.code, 1);
  test.match(got.stderr, /ztoc at byte 0: expected the digest sha256:\w{64}, got sha256:/);
});

await t.test('a ztoc of another layer, with the digest that the index has', async (test) => {
  const layout = new ImageLayout(join(shortFolder(test), 'layout'));
  await push(layout, 'app', 1, { ztoc: upper.ztoc });
  const got = await runDaemon(['inspect', `oci:${layout.folder}:app`]);
  test.equal(got.code, 1);
  test.match(got.stderr, /expected a ztoc of \S+, which has \d+ bytes, got \d+/);
});

await t.test(
  'without a SOCI index that can be used, the image is an ordinary one',
  async (test) => {
    const cases: [version: 1 | 2, wrong: Wrong, note: RegExp][] = [
      [
        1,
        { subject: `sha256:${'0'.repeat(64)}` },
        /its SOCI index \S+ cannot be used: .* does not refer to sha256/,
      ],
      [2, { isMissing: true }, /its SOCI index sha256:\w{64} is not there/],
      [
        2,
        { named: 'a manifest' },
        /its SOCI index sha256:\w{64} cannot be used: .* not a SOCI index/,
      ],
      [2, { named: 'no digest' }, /its SOCI index cannot be used: .* digits, got "sha256:0"/],
    ];
    for (const [version, wrong, note] of cases) {
      const layout = new ImageLayout(join(shortFolder(test), 'layout'));
      await push(layout, 'app', version, wrong);
      const got = await runDaemon(['inspect', `oci:${layout.folder}:app`]);
      test.equal(got.code, 0, got.stderr);
      test.match(got.stdout, note);
      test.notMatch(got.stdout, /files \(SOCI/);
    }
  },
);
