// Layouts on disk: the choice in index.json, blobs as files, and layouts that lie.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { fileRef } from '../../../daemon/blob/blob-ref.js';
import { resolveLayout } from '../../../daemon/registry/oci-layout.js';
import { parseReference } from '../../../daemon/registry/reference.js';
import { fixturesRoot } from '../../support/fixtures.js';
import { LayoutWriter } from '../../support/layout-writer.js';
import { writeLsmt } from '../../support/lsmt-writer.js';
import {
  NATIVE,
  OCI_GZIP_LAYER,
  OCI_LAYER,
  encode,
  imageIndex,
  imageManifest,
  sha256,
} from '../../support/memory-registry.js';

const LAYERS = [1, 2].map((count) => writeLsmt({ virtualSize: count << 20, segments: [] }));
const AMD64 = { platform: { os: 'linux', architecture: 'amd64' } };
const ARM64 = { platform: { os: 'linux', architecture: 'arm64' } };

function resolve(name: string, platform: string | null = 'linux/amd64') {
  const reference = parseReference(name);
  if (reference.kind !== 'oci') throw new Error(reference.kind);
  return resolveLayout(reference, platform);
}

/** A layout with one image of two layers. */
function simple(t: Test, tag: string) {
  const layout = new LayoutWriter(join(t.testdir(), 'layout'));
  const layers = LAYERS.map((bytes) => layout.blob(bytes));
  const { digest } = layout.manifest(imageManifest(layers), tag);
  return { layout, digest: String(digest), layers };
}

await test('one image, by tag, by digest, or because it is the only one', async (t) => {
  const { layout, digest } = simple(t, 'v1');
  const { folder } = layout;
  const expected = {
    digest,
    lowers: LAYERS.map((bytes) => fileRef(layout.pathOf(sha256(bytes)))),
    trace: null,
    notes: [],
  };
  for (const name of [`oci:${folder}`, `oci:${folder}:v1`, `oci:${folder}@${digest}`]) {
    t.same(await resolve(name, null), { name, ...expected });
  }
  await t.rejects(resolve(`oci:${folder}:v2`), {
    code: 'NOT_FOUND',
    message: `oci:${folder}:v2: index.json has no v2; it has "v1"`,
  });
  await t.rejects(resolve(`oci:${folder}@${sha256('x')}`), { code: 'NOT_FOUND' });
});

await test('several images', async (t) => {
  const { layout, layers } = simple(t, 'v1');
  layout.manifest(imageManifest(layers.slice(1)), 'docker.io/library/app:2');
  const name = `oci:${layout.folder}`;
  await t.rejects(resolve(name), {
    code: 'BAD_ARGUMENT',
    message: `${name}: index.json has 2 images; name one: it has "v1", "docker.io/library/app:2"`,
  });
  t.equal((await resolve(`${name}:docker.io/library/app:2`)).lowers.length, 1);
});

await test('platforms: of an index, and of index.json itself', async (t) => {
  const layout = new LayoutWriter(join(t.testdir(), 'layout'));
  const [one, two] = LAYERS.map((bytes) => imageManifest([layout.blob(bytes)]));
  const amd = layout.manifest(one ?? {}, null, AMD64);
  const arm = layout.manifest(two ?? {}, null, ARM64);
  layout.manifest(imageIndex([amd, arm]), 'multi');
  t.match(await resolve(`oci:${layout.folder}`, 'linux/arm64'), { digest: arm['digest'] });
  layout.entries.splice(0, 1, amd, arm);
  layout.writeIndex();
  t.match(await resolve(`oci:${layout.folder}`, 'linux/arm64'), { digest: arm['digest'] });
  await t.rejects(resolve(`oci:${layout.folder}`, 'linux/s390x'), {
    code: 'NOT_FOUND',
    message: /its platforms: linux\/amd64, linux\/arm64/,
  });
});

await test('referrers by their tag, and among the images', async (t) => {
  const { layout, layers } = simple(t, 'obd');
  const plain = layout.manifest(
    imageManifest([layout.blob(Buffer.from('x'), null, OCI_GZIP_LAYER)]),
    'plain',
  );
  const native = { artifactType: NATIVE };
  const converted = layout.manifest({ ...imageManifest(layers), subject: plain }, null, native);
  t.match(await resolve(`oci:${layout.folder}:plain`), {
    notes: [/its configuration has no digests/],
  });
  layout.manifest(imageIndex([converted]), String(plain['digest']).replace(':', '-'));
  t.match(await resolve(`oci:${layout.folder}:plain`), {
    digest: converted['digest'],
    notes: [/refers to it/],
  });
  layout.entries.splice(2, 1, converted);
  layout.writeIndex();
  t.match(await resolve(`oci:${layout.folder}:plain`), { digest: converted['digest'] });
});

await test('layers without annotations are recognised by their bytes', async (t) => {
  const layout = new LayoutWriter(join(t.testdir(), 'layout'));
  const layers = LAYERS.map((bytes) => layout.blob(bytes, null));
  layout.manifest(imageManifest(layers), 'v1');
  const { lowers, notes } = await resolve(`oci:${layout.folder}`);
  t.equal(lowers.length, 2);
  t.match(notes, [/have no overlaybd annotations/]);
  layout.manifest(imageManifest([layout.blob(Buffer.from('text'), null, OCI_LAYER)]), 'plain');
  t.match(await resolve(`oci:${layout.folder}:plain`), {
    lowers: { length: 1 },
    notes: [/its configuration/],
  });
});

await test('what is not a layout', async (t) => {
  const folder = t.testdir({
    empty: {},
    html: { 'index.json': '<html>' },
    wrong: { 'index.json': '{"layers":[]}' },
  });
  await t.rejects(resolve(`oci:${folder}/none`), {
    code: 'NOT_FOUND',
    message: `${folder}/none: there is no such folder`,
  });
  await t.rejects(resolve(`oci:${folder}/html/index.json`), {
    code: 'UNSUPPORTED',
    message: /html\/index\.json: it is not a folder; an archive is named as docker-archive:FILE/,
  });
  await t.rejects(resolve(`oci:${folder}/empty`), { code: 'NOT_FOUND', message: /no index\.json/ });
  await t.rejects(resolve(`oci:${folder}/html`), {
    code: 'BAD_FORMAT',
    message: /index\.json: not JSON/,
  });
  await t.rejects(resolve(`oci:${folder}/wrong`), { code: 'BAD_FORMAT' });
  await t.rejects(resolve(`oci:${new LayoutWriter(join(folder, 'new')).folder}`), {
    code: 'NOT_FOUND',
    message: /has no images/,
  });
});

await test('layouts that lie', async (t) => {
  const { layout, digest, layers } = simple(t, 'v1');
  const name = `oci:${layout.folder}`;
  const top = layout.pathOf(sha256(LAYERS[1] ?? ''));
  writeFileSync(top, 'short');
  await t.rejects(resolve(name), {
    code: 'BAD_FORMAT',
    message: `${top}: 5 bytes, but its descriptor says ${LAYERS[1]?.length}`,
  });
  rmSync(top);
  await t.rejects(resolve(name), { code: 'NOT_FOUND', message: new RegExp(`^${top}`) });
  mkdirSync(top);
  await t.rejects(resolve(name), { code: 'UNSUPPORTED' });
  const manifest = layout.pathOf(digest);
  const other = encode(imageManifest(layers));
  writeFileSync(manifest, other.fill('9', other.length - 20, other.length - 15));
  await t.rejects(resolve(name), {
    code: 'BAD_CHECKSUM',
    message: new RegExp(`^${manifest}: expected digest .*, got `),
  });
  rmSync(manifest);
  symlinkSync('/dev/zero', manifest);
  await t.rejects(resolve(name), { code: 'UNSUPPORTED' });
  layout.entries[0] = { ...layout.entries[0], digest: 'sha256:../../../../etc/passwd' };
  layout.writeIndex();
  await t.rejects(resolve(name), {
    code: 'BAD_FORMAT',
    message: /manifests\.0\.digest: "sha256:\.\.\/.*" is not a digest/,
  });
  writeFileSync(join(layout.folder, 'index.json'), Buffer.alloc((4 << 20) + 1, ' '));
  await t.rejects(resolve(name), { code: 'LIMIT' });
});

/** Beside the fixtures: makes images of them as the tools of the field do. */
const root = fixturesRoot();
const maker = root === null ? null : join(root, '../registry/make-registry-image');
const python = spawnSync('python3', ['--version']).status === 0;
const skip =
  maker === null || !existsSync(maker)
    ? 'no fixtures, or nothing that makes images of them'
    : python
      ? false
      : 'no python3';

interface Made {
  manifest: string;
  layers: { digest: string; size: number }[];
}

function make(layout: string, fixture: string, ...options: string[]): Made {
  const config = join(root ?? '', fixture, 'config.v1.json');
  const words = ['--config', config, '--layout', layout, '--json', ...options];
  const { stdout, stderr, status } = spawnSync('python3', [maker ?? '', ...words], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as Made;
}

await test("images of the fixtures, in the three writers' ways", { skip }, async (t) => {
  const folder = t.testdir();
  const ways = {
    docker: [],
    oci: ['--oci', '--index'],
    ctr: ['--style', 'ctr', '--index'],
    buildkit: ['--style', 'buildkit'],
    bare: ['--no-annotations'],
  };
  for (const fixture of ['07-stack12-mixed', '11-apply-oci-2layers']) {
    for (const [way, options] of Object.entries(ways)) {
      if (fixture === '07-stack12-mixed' && way !== 'oci') continue;
      const layout = join(folder, `${way}-${fixture}`);
      const made = make(layout, fixture, '--tag', 'v1', ...options);
      const { digest, lowers, trace } = await resolve(`oci:${layout}:v1`);
      t.equal(digest, made.manifest, `${way} of ${fixture}`);
      t.same(
        lowers,
        made.layers.map((layer) => fileRef(join(layout, 'blobs/sha256', layer.digest.slice(7)))),
      );
      t.equal(trace, null);
    }
  }
});

await test('a trace, a referrer and a missing blob', { skip }, async (t) => {
  const folder = t.testdir({ list: '/bin/sh\n' });
  const fixture = '11-apply-oci-2layers';
  const traced = make(join(folder, 'a'), fixture, '--trace', join(folder, 'list'), '--tag', 'v1');
  const { lowers, trace } = await resolve(`oci:${folder}/a:v1`);
  t.equal(lowers.length, 2);
  t.same(trace, fileRef(join(folder, 'a/blobs/sha256', traced.layers[2]?.digest.slice(7) ?? '')));
  make(
    join(folder, 'bare'),
    fixture,
    '--trace',
    join(folder, 'list'),
    '--tag',
    'v1',
    '--no-annotations',
  );
  t.match(await resolve(`oci:${folder}/bare:v1`), { lowers: [{}, {}], trace: { kind: 'file' } });
  const referred = make(join(folder, 'b'), fixture, '--plain-tag', 'plain', '--tag', 'obd');
  t.equal((await resolve(`oci:${folder}/b:plain`)).digest, referred.manifest);
  make(join(folder, 'c'), fixture, '--missing', '1', '--tag', 'v1');
  await t.rejects(resolve(`oci:${folder}/c:v1`), { code: 'NOT_FOUND', message: /blobs\/sha256\// });
  const turbo = join(root ?? '', '12-turbooci-targz');
  const words = ['ext4.fs.meta', 'layer.tar.gz', 'gzip.meta'].map((name) => join(turbo, name));
  spawnSync('python3', [
    maker ?? '',
    '--turbo',
    words.join('='),
    '--layout',
    join(folder, 'd'),
    '--tag',
    'v1',
    '--oci',
  ]);
  t.equal((await resolve(`oci:${folder}/d:v1`)).targets?.size, 1);
});

await test('blobs are the bytes that the digests say', { skip }, async (t) => {
  const layout = join(t.testdir(), 'layout');
  const made = make(layout, '08-tar-zfile-lz4', '--tag', 'v1');
  const [lower] = (await resolve(`oci:${layout}`)).lowers;
  if (lower?.kind !== 'file') throw new Error('not a file');
  const hash = createHash('sha256').update(readFileSync(lower.path)).digest('hex');
  t.equal(`sha256:${hash}`, made.layers[0]?.digest);
});
