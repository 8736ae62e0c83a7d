// Archives of docker save: layers as parts of the file, by their bytes; several images, links, and hostile ones.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { test, type Test } from 'tap';
import { resolveArchive } from '../../../daemon/registry/docker-archive.js';
import { parseReference } from '../../../daemon/registry/reference.js';
import { writeArchive, type ArchiveMember } from '../../support/archive-writer.js';
import { LayoutWriter } from '../../support/layout-writer.js';
import { writeLsmt } from '../../support/lsmt-writer.js';
import { imageManifest, sha256, type Json } from '../../support/memory-registry.js';
import { wrapTar } from '../../support/tar-writer.js';

const LAYERS = [1, 2, 3].map((count) =>
  wrapTar(writeLsmt({ virtualSize: count << 20, segments: [] }), { pax: count === 2 }),
);
const CONFIG = '{"architecture":"amd64","os":"linux"}';
const ID = sha256(CONFIG).slice(7);
const layerMembers = LAYERS.map((content, i) => ({ name: `${i}/layer.tar`, content }));

function resolve(name: string) {
  const reference = parseReference(name);
  if (reference.kind !== 'docker-archive') throw new Error(reference.kind);
  return resolveArchive(reference);
}

function saved(more: Json = {}): Json {
  return {
    Config: `${ID}.json`,
    RepoTags: ['redis:7'],
    Layers: layerMembers.map(({ name }) => name),
    ...more,
  };
}

/** @returns the name of the archive */
function archive(t: Test, images: Json[], members: ArchiveMember[] = layerMembers): string {
  const path = join(t.testdir(), 'image.tar');
  writeFileSync(
    path,
    writeArchive([
      ...members,
      { name: `${ID}.json`, content: CONFIG },
      { name: 'manifest.json', content: JSON.stringify(images) },
    ]),
  );
  return `docker-archive:${path}`;
}

await test('layers are parts of the archive', async (t) => {
  const name = archive(t, [saved()]);
  const path = name.slice('docker-archive:'.length);
  const image = await resolve(name);
  t.match(image, { name, digest: `sha256:${ID}`, trace: null, notes: [] });
  const bytes = readFileSync(path);
  t.equal(image.lowers.length, 3);
  for (const [i, lower] of image.lowers.entries()) {
    if (lower.kind !== 'part') throw new Error(lower.kind);
    t.equal(lower.path, path);
    t.ok(LAYERS[i]?.equals(bytes.subarray(lower.offset, lower.offset + lower.size)));
  }
  t.match(await resolve(`${name}:redis:7`), { lowers: [{}, {}, {}] });
  await t.rejects(resolve(`${name}:redis`), {
    code: 'NOT_FOUND',
    message: `${name}:redis: the archive has no docker.io/library/redis:latest; it has "redis:7"`,
  });
});

await test('the same layer twice, by links of both kinds, and the trace', async (t) => {
  const trace = writeArchive([{ name: 'trace', content: '/bin/sh\n' }]);
  const name = archive(
    t,
    [saved({ Layers: ['a/layer.tar', './b/layer.tar', 'c', 't.tar'] })],
    [
      { name: 'a/layer.tar', content: LAYERS[0] ?? '' },
      { name: 'b/layer.tar', type: '2', content: '../a/layer.tar' },
      { name: 'c', type: '1', content: 'b/layer.tar' },
      { name: 't.tar', content: trace },
    ],
  );
  const { lowers, trace: found } = await resolve(name);
  t.equal(lowers.length, 3);
  t.same(lowers[0], lowers[1]);
  t.same(lowers[0], lowers[2]);
  t.match(found, { kind: 'part', size: trace.length });
});

await test('several images', async (t) => {
  const one = saved({ RepoTags: ['docker.io/library/redis:7', 'other:1'] });
  const two = saved({ RepoTags: null, Layers: ['0/layer.tar'] });
  const name = archive(t, [two, one]);
  t.match(await resolve(`${name}:redis:7`), { lowers: [{}, {}, {}] });
  await t.rejects(resolve(name), {
    code: 'BAD_ARGUMENT',
    message: `${name}: the archive has 2 images; name one as docker-archive:FILE:REFERENCE: it has "docker.io/library/redis:7", "other:1"`,
  });
});

await test('ordinary layers', async (t) => {
  const plain = writeArchive([{ name: 'etc/passwd', content: 'x' }]);
  const members = [...layerMembers, { name: 'plain', content: plain }];
  const name = archive(t, [saved({ Layers: ['plain'] })], members);
  t.match(await resolve(name), {
    lowers: [{ kind: 'part', size: plain.length }],
    trace: null,
    notes: [],
  });
  await t.rejects(resolve(archive(t, [saved({ Layers: [] })], members)), {
    code: 'BAD_FORMAT',
    message: /has no layers/,
  });
  await t.rejects(resolve(archive(t, [saved({ Layers: ['0/layer.tar', 'plain'] })], members)), {
    code: 'UNSUPPORTED',
    message: /layer 1 of 2: an ordinary layer \("plain"\) among overlaybd layers/,
  });
  const turbo = writeArchive([{ name: 'erofs.fs.meta', content: 'x' }]);
  await t.rejects(
    resolve(archive(t, [saved({ Layers: ['turbo'] })], [{ name: 'turbo', content: turbo }])),
    { code: 'UNSUPPORTED', message: /turboOCI/ },
  );
});

await test('archives that lie', async (t) => {
  const bad = async (
    images: unknown,
    message: RegExp,
    code = 'BAD_FORMAT',
    members?: ArchiveMember[],
  ) => {
    await t.rejects(resolve(archive(t, images as Json[], members)), { code, message });
  };
  await bad(
    [saved({ Layers: ['../../../etc/passwd'] })],
    /manifest\.json: it names "\.\.\/.*etc\/passwd", which is not a file of the archive/,
  );
  await bad([saved({ Layers: ['/etc/passwd'] })], /not a file of the archive/);
  await bad([saved({ Layers: ['l'] })], /not a file of the archive/, 'BAD_FORMAT', [
    { name: 'l', type: '2', content: '/etc/passwd' },
  ]);
  await bad([saved({ Layers: ['l'] })], /not a file of the archive/, 'BAD_FORMAT', [
    { name: 'l', type: '2', content: 'l' },
  ]);
  await bad([saved({ Config: `${'0'.repeat(64)}.json` })], /not a file of the archive/);
  await bad(
    [saved({ Config: `blobs/sha256/${'0'.repeat(64)}` })],
    /expected sha256:0+, got sha256:/,
    'BAD_CHECKSUM',
    [...layerMembers, { name: `blobs/sha256/${'0'.repeat(64)}`, content: CONFIG }],
  );
  await bad([], /has no images/);
  await bad({}, /manifest\.json: an object is not an array/);
  await bad([saved({ Layers: 'x' })], /0\.Layers: "x" is not an array/);
  await bad([saved({ Layers: [''] })], /0\.Layers\.0/);
  await bad(
    [saved({ Layers: Array.from({ length: 257 }, () => 'x') })],
    /257 layers, at most 256/,
    'LIMIT',
  );
  await bad(
    Array.from({ length: 1025 }, () => saved()),
    /1025 images, at most 1024/,
    'LIMIT',
  );
  await bad(
    [saved({ Config: 'big' })],
    /"big" at byte \d+: 4194305 bytes, at most 4194304/,
    'LIMIT',
    [{ name: 'big', content: Buffer.alloc((4 << 20) + 1) }],
  );
});

await test('other files', async (t) => {
  const folder = t.testdir();
  const write = (name: string, bytes: Buffer): string => {
    writeFileSync(join(folder, name), bytes);
    return `docker-archive:${join(folder, name)}`;
  };
  const compressed = write('a.tar.gz', gzipSync(writeArchive(layerMembers)));
  await t.rejects(resolve(compressed), {
    code: 'UNSUPPORTED',
    message: /the archive is compressed \(gzip\): decompress it first/,
  });
  const zstd = write('a.tar.zst', Buffer.from('28b52ffd00', 'hex'));
  await t.rejects(resolve(zstd), { code: 'UNSUPPORTED', message: /compressed \(zstd\)/ });
  const oci = write('oci.tar', writeArchive([{ name: 'index.json', content: '{}' }]));
  await t.rejects(resolve(oci), {
    code: 'UNSUPPORTED',
    message: /an OCI archive: unpack it, and name its folder as oci:DIR/,
  });
  await t.rejects(resolve(write('empty', Buffer.alloc(0))), {
    code: 'UNSUPPORTED',
    message: /it has no manifest\.json/,
  });
  await t.rejects(resolve(write('noise', Buffer.alloc(4096, 'x'))), {
    code: 'BAD_FORMAT',
    message: /tar header checksum/,
  });
  await t.rejects(resolve(`docker-archive:${folder}/none`), { code: 'NOT_FOUND' });
  await t.rejects(resolve(`docker-archive:${folder}`), { code: 'UNSUPPORTED' });
});

const hasSkopeo = spawnSync('skopeo', ['--version']).status === 0;

await test('an archive of skopeo', { skip: hasSkopeo ? false : 'no skopeo' }, async (t) => {
  const folder = t.testdir();
  const layout = new LayoutWriter(join(folder, 'layout'));
  const config = {
    architecture: 'amd64',
    os: 'linux',
    rootfs: { type: 'layers', diff_ids: LAYERS.map((bytes) => sha256(bytes)) },
  };
  const layers = LAYERS.map((bytes) => layout.blob(bytes));
  const described = layout.blob(
    Buffer.from(JSON.stringify(config)),
    null,
    'application/vnd.oci.image.config.v1+json',
  );
  layout.manifest(imageManifest(layers, { config: described }), 'v1');
  const path = join(folder, 'image.tar');
  const words = [
    '--insecure-policy',
    'copy',
    `oci:${layout.folder}:v1`,
    `docker-archive:${path}:app:1`,
  ];
  const { status, stderr } = spawnSync('skopeo', words, { encoding: 'utf8' });
  t.equal(status, 0, stderr);
  const { lowers } = await resolve(`docker-archive:${path}:app:1`);
  const bytes = readFileSync(path);
  const found = lowers.map((lower) =>
    lower.kind === 'part' ? sha256(bytes.subarray(lower.offset, lower.offset + lower.size)) : '',
  );
  t.same(
    found,
    LAYERS.map((each) => sha256(each)),
  );
});
