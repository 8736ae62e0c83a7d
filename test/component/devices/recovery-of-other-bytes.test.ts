// Devices of images of files after the daemon died, if other bytes are in a file by then and the tree is the same: not served, until
// the right bytes are back. Against a fake kernel.
import {
  copyFileSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { test, type Test } from 'tap';
import type { AttachRequest } from '../../../daemon/control/requests.js';
import { writeComposefs, type ImageFile } from '../../support/composefs-writer.js';
import { BLOCK, writeDevices } from '../../support/erofs-devices-writer.js';
import { writeEstargz } from '../../support/estargz-writer.js';
import { randomBytes } from '../../support/pattern.js';
import { writeUstar } from '../../support/ustar.js';
import { writeZtoc } from '../../support/ztoc-writer.js';
import { makeWorld, until, type Life } from './device-world.js';

/** Where what is kept of the only device is; null: nothing is. */
function keptPath(folder: string): string | null {
  const devices = join(folder, 'devices');
  const name = readdirSync(devices).find((each) => each.endsWith('.contents'));
  return name === undefined ? null : join(devices, name);
}

function hasDigests(folder: string): boolean {
  const path = keptPath(folder);
  return path !== null && !readFileSync(path, 'utf8').includes('null');
}

async function isServed({ manager }: Life): Promise<boolean> {
  return (await manager.status()).every(({ state }) => state !== 'failed');
}

interface Changed {
  path: string;
  before: Buffer;
  after: Buffer;
}

type Attached = Pick<AttachRequest, 'image' | 'beside'>;

/** A daemon attaches an image, keeps the digests of its files, and dies. */
async function attachAndDie(
  { folder, live }: Pick<ReturnType<typeof makeWorld>, 'folder' | 'live'>,
  request: Attached,
): Promise<void> {
  const first = await live();
  await first.manager.attach({ ...request, connections: 1 });
  await until(() => hasDigests(folder));
  await first.die();
}

/** The fingerprint has the size, the head and the tail of a layer: what changes is between them. */
async function isRefused(
  t: Test,
  write: (folder: string) => Promise<[Attached, Changed]> | [Attached, Changed],
): Promise<void> {
  const { folder, live } = makeWorld(t);
  const [request, { path, before, after }] = await write(folder);
  t.equal(after.length, before.length);
  t.notOk(after.equals(before));
  writeFileSync(path, before);
  await attachAndDie({ folder, live }, request);
  writeFileSync(path, after);
  const second = await live();
  await second.manager.recover();
  t.match(await second.manager.status(), [{ state: 'failed' }]);
  t.match(second.log.join('\n'), new RegExp(`attached: .*${path}: expected digest`));
  writeFileSync(path, before);
  await until(() => isServed(second));
  await second.die();
  const third = await live();
  await third.manager.recover();
  t.same(await third.manager.repairAll(60_000), []);
}

await test('what cannot be read does not make the image another one', async (t) => {
  const { folder, live } = makeWorld(t);
  const image = join(folder, 'layer.tar');
  writeFileSync(image, writeUstar([{ name: 'a', bytes: Buffer.from('a') }]));
  const first = await live();
  await first.manager.attach({ image: [image], connections: 1 });
  await until(() => hasDigests(folder));
  await first.die();
  const path = keptPath(folder) as string;
  renameSync(path, `${folder}/kept`);
  mkdirSync(path);
  const second = await live();
  await second.manager.recover();
  const line = second.lines.find(({ device }) => device === '/dev/nbd0');
  const message = /: whether it is the image .* cannot be checked: .*contents: is a folder, not a/;
  t.match(line, { code: 'IO', message });
  rmSync(path, { recursive: true });
  renameSync(`${folder}/kept`, path);
  await until(() => isServed(second));
});

const NOTHING = { tocBlob: null, tocDigest: null, ztocs: [] };

interface Toc {
  entries: Record<string, unknown>[];
}

function withoutDigests({ entries }: Toc): unknown {
  for (const entry of entries) {
    delete entry['digest'];
    delete entry['chunkDigest'];
  }
  return { version: 1, entries };
}

/** @param seed of the file in the middle */
function stargzOf(seed: number): Buffer {
  const files = [1, seed, 3].map((each, i) => ({
    entry: { name: `f${i}`, type: 'reg' },
    bytes: randomBytes(each, 30_000),
  }));
  return writeEstargz(files, { form: 'stargz', change: withoutDigests }).blob;
}

await test('stargz, whose pieces have no digests', async (t) => {
  await isRefused(t, (folder) => {
    const path = join(folder, 'layer.stargz');
    const before = stargzOf(2);
    // The same table of contents: as many bytes in gzip.
    const others = Array.from({ length: 100 }, (_, i) => stargzOf(4 + i));
    const after = others.find(({ length }) => length === before.length) ?? before;
    return [{ image: [path] }, { path, before, after }];
  });
});

/** @param text of the file in the middle */
function composefsOf(text: string): Buffer {
  const root: ImageFile = { path: '', mode: 0o040755, xattrs: { 'trusted.overlay.opaque': 'y' } };
  const files = Array.from({ length: 100 }, (_, i) => ({
    path: `f${i}`,
    mode: 0o100644,
    inline: (i === 50 ? text : 'x').repeat(300),
  }));
  return writeComposefs([root, ...files]).bytes;
}

await test('contents in a composefs image', async (t) => {
  await isRefused(t, (folder) => {
    const path = join(folder, 'image.cfs');
    const beside = { ...NOTHING, objects: folder };
    return [
      { image: [path], beside },
      { path, before: composefsOf('a'), after: composefsOf('b') },
    ];
  });
});

await test('a ztoc with another place of a file', async (t) => {
  const names = Array.from({ length: 400 }, (_, i) => `file${i}`);
  const archive = writeUstar(names.map((name) => ({ name, bytes: randomBytes(1, 512) })));
  await isRefused(t, async (folder) => {
    const [path, layer] = [join(folder, 'ztoc'), join(folder, 'layer.tar.gz')];
    const form = { form: 'gzip', spanSize: 100_000 } as const;
    // Behind it is room for another place: there is a file that the ztoc leaves out.
    const before = await writeZtoc(archive, {
      ...form,
      change: ({ entries }) => void entries.splice(201, 1),
    });
    writeFileSync(layer, before.layer);
    const after = await writeZtoc(archive, {
      ...form,
      change: ({ entries }) => {
        entries.splice(201, 1);
        const entry = entries[200] as { i64: number }[];
        entry[2] = { i64: (entry[2] as { i64: number }).i64 + 512 };
      },
    });
    const request = { image: [layer], beside: { ...NOTHING, ztocs: [path] } };
    return [request, { path, before: before.ztoc, after: after.ztoc }];
  });
});

await test('a device of EROFS that is edited in place in its folder', async (t) => {
  const root = { path: '', mode: 0o040755 };
  const file = { path: 'f', mode: 0o100644, size: BLOCK, chunks: [[1, 8] as [number, number]] };
  const { bytes } = writeDevices([root, file], [{ tag: 'data', blocks: 16 }]);
  await isRefused(t, (folder) => {
    const [image, blobs] = [join(folder, 'image.erofs'), join(folder, 'blobs')];
    mkdirSync(blobs);
    writeFileSync(image, bytes);
    const before = randomBytes(1, 16 * BLOCK);
    const after = Buffer.from(before);
    after.fill(0, 8 * BLOCK, 9 * BLOCK);
    const request = { image: [image], beside: { ...NOTHING, blobs } };
    return [request, { path: join(blobs, 'data'), before, after }];
  });
});

/**
 * Of the same size, start and end, whatever is in the middle: gzip stores the bytes as they are, and the checksum of what
 * differs is not in the last member.
 */
function gzipOf(name: string, fill: string): Buffer {
  const files = ['head', name].map((each) => ({
    name: each,
    bytes: Buffer.alloc(30_000, each === name ? fill : each),
  }));
  const members = [
    writeUstar(files).subarray(0, -1024),
    writeUstar([{ name: 'tail', bytes: Buffer.alloc(30_000, 't') }]),
  ];
  return Buffer.concat(members.map((each) => gzipSync(each, { level: 0 })));
}

await test('a wrong file that is refused is not kept, and does not keep the right one out', async (t) => {
  const { folder, live } = makeWorld(t);
  const layer = join(folder, 'layer.tar.gz');
  writeFileSync(layer, gzipOf('a', 'a'));
  await attachAndDie({ folder, live }, { image: [layer] });
  const kept = readFileSync(keptPath(folder) ?? '');
  writeFileSync(layer, gzipOf('b', 'a'));
  const second = await live();
  await second.manager.recover();
  t.match(await second.manager.status(), [{ state: 'failed' }]);
  t.same(readFileSync(keptPath(folder) ?? ''), kept);
  writeFileSync(layer, gzipOf('a', 'a'));
  await until(() => isServed(second));
});

await test('no layer is served if its digests are missing', async (t) => {
  const { folder, live } = makeWorld(t);
  const layer = join(folder, 'layer.tar.gz');
  writeFileSync(layer, gzipOf('a', 'a'));
  await attachAndDie({ folder, live }, { image: [layer] });
  const path = keptPath(folder) ?? '';
  rmSync(path);
  const second = await live();
  await second.manager.recover();
  t.match(await second.manager.status(), [{ state: 'failed' }]);
  t.match(second.log.join('\n'), `${path}, which has their digests, is missing`);
  t.equal(keptPath(folder), null);
});

await test('copies of its files are served, and their digests are kept', async (t) => {
  const { folder, live } = makeWorld(t);
  const layers = ['lower.tar', 'upper.tar.gz'].map((name) => join(folder, name));
  const [lower, upper] = layers as [string, string];
  writeFileSync(lower, writeUstar([{ name: 'z', bytes: Buffer.alloc(60_000, 'z') }]));
  writeFileSync(upper, gzipOf('a', 'a'));
  const first = await live();
  await first.manager.attach({ image: layers, connections: 1 });
  await until(() => hasDigests(folder));
  await first.die();
  const kept = (): Kept => JSON.parse(readFileSync(keptPath(folder) ?? '', 'utf8')) as Kept;
  const before = kept();
  layers.forEach(copy);
  const second = await live();
  await second.manager.recover();
  t.same(await second.manager.repairAll(60_000), []);
  t.same(kept().digests, before.digests);
  t.not(kept().identity, before.identity);
});

interface Kept {
  identity: string;
  digests: string[];
}

/** Another file with the same bytes takes its place. */
function copy(file: string): void {
  copyFileSync(file, `${file}.copy`);
  renameSync(`${file}.copy`, file);
}
