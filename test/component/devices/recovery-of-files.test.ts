// Devices of images of files after the daemon died: opened as they were, or not served. Against a fake kernel.
import {
  closeSync,
  copyFileSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { test } from 'tap';
import { readMetadataFile, writeMetadataFile } from '../../../daemon/devices/metadata-file.js';
import { DeviceRecords } from '../../../daemon/devices/record.js';
import { sha256 } from '../../support/registry/image-place.js';
import { readErofs, type ErofsImage } from '../../support/erofs/reader.js';
import { treeLines } from '../../support/erofs/tree-lines.js';
import { rewriteAsOther } from '../../support/other-layout.js';
import { writeUstar, type TarFile } from '../../support/ustar.js';
import { makeWorld, until } from './device-world.js';

const fileOf = (name: string, n: number): TarFile => ({ name, bytes: Buffer.alloc(n, name) });

/** The digests of plain archives are computed after `attach`: a copy cannot be told from another file before. */
async function digestsKept(folder: string): Promise<void> {
  const devices = join(folder, 'devices');
  const contents = (): string[] =>
    readdirSync(devices).filter((name) => name.endsWith('.contents'));
  const isKept = (name: string): boolean =>
    !readFileSync(join(devices, name), 'utf8').includes('null');
  await until(() => contents().every(isKept));
}

await test('what lies beside the layers is opened again, also after a kill', async (t) => {
  const { kernel, folder, records, live } = makeWorld(t);
  const [lower, upper] = [join(folder, 'lower.tar'), join(folder, 'upper.tar')];
  writeFileSync(lower, writeUstar([{ name: 'a', bytes: Buffer.from('lower') }]));
  writeFileSync(upper, writeUstar([{ name: '.wh.a' }, { name: 'b', bytes: Buffer.from('b') }]));
  const beside = { tocBlob: null, tocDigest: null, ztocs: [], layer: 1 };
  const image = [lower, upper];
  const first = await live();
  const all = await first.manager.attach({ image, connections: 1 });
  const alone = await first.manager.attach({ image, beside, connections: 1 });
  t.not(all.id, alone.id, 'another image');
  t.same(
    records().map((record) => record.beside),
    records().map(({ id }) => (id === alone.id ? beside : null)),
  );
  const before = [await kernel.read(0, 0, 8192, 0), await kernel.read(1, 0, 8192, 0)];
  t.notSame(before[0], before[1]);
  await digestsKept(folder);
  await first.die();
  const second = await live();
  await second.manager.recover();
  await second.manager.repairAll(8000);
  await until(() => [0, 1].every((i) => kernel.devices.get(i)?.sockets.length === 1));
  t.same([await kernel.read(0, 0, 8192, 0), await kernel.read(1, 0, 8192, 0)], before);
});

await test('layers whose middle has changed are not served below a mounted file system', async (t) => {
  const { folder, kernel, image, records, live } = makeWorld(t);
  const layer = join(folder, 'layer.tar');
  // The fingerprint has the size, the head and the tail.
  const files = Array.from({ length: 64 }, (_, i) => ({
    name: `file${i}`,
    bytes: Buffer.alloc(1024, i),
  }));
  const tar = (name: string): Buffer =>
    writeUstar(files.map((file, i) => (i === 32 ? { ...file, name } : file)));
  writeFileSync(layer, tar('before'));
  const first = await live();
  await first.manager.attach({ image: [layer], connections: 1 });
  await first.manager.attach({ image: [image], connections: 1 });
  const lengths = records().map(({ metadata }) => metadata?.length ?? 0);
  t.same(new Set(lengths), new Set([0, 64]), 'only an image of files has it');
  await digestsKept(folder);
  await first.die();
  writeFileSync(layer, tar('after!'));
  const second = await live();
  await second.manager.recover();
  const states = (await second.manager.status()).map(({ device, state }) => `${device} ${state}`);
  t.same(states, ['/dev/nbd0 failed', '/dev/nbd1 waiting']);
  t.match(second.log, [/nbd0 .*layer\.tar is not the image with which it was attached/]);
  writeFileSync(layer, tar('before'));
  await until(() => kernel.devices.get(0)?.sockets.length === 1);
});

await test('a daemon whose version would make different metadata serves the recorded metadata', async (t) => {
  const { folder, kernel, records, live } = makeWorld(t);
  const store = new DeviceRecords(join(folder, 'devices'));
  const layers = [join(folder, 'lower.tar'), join(folder, 'upper.tar')];
  const [lower, upper] = layers as [string, string];
  writeFileSync(lower, writeUstar([fileOf('a', 9000), fileOf('b', 100), fileOf('d/c', 5000)]));
  writeFileSync(upper, writeUstar([fileOf('e', 6000), { name: '.wh.b' }]));
  const first = await live();
  for (let i = 0; i < 3; i++) await first.manager.attach({ image: layers, connections: 1 });
  const treeOf = async (index: number): Promise<ErofsImage> => {
    const size = records()[0]?.size ?? 0;
    const bytes = await kernel.read(index, 0, size);
    return readErofs((offset, length) => bytes.subarray(offset, offset + length), size);
  };
  const before = await treeOf(0);
  await digestsKept(folder);
  await first.die();
  // The layer is another file now, with the same bytes.
  copyFileSync(lower, `${lower}.copy`);
  renameSync(`${lower}.copy`, lower);
  // Two devices of another version, and one of this one.
  for (const record of records()) {
    if (record.index > 0) await rewriteAsOther(store, record);
  }
  const second = await live();
  await second.manager.recover();
  t.same(await second.manager.repairAll(60_000), []);
  const others = second.log.filter((line) => line.includes('would make different metadata'));
  t.same(others.length, 2, 'a line for each device that gets what was recorded');
  t.match(
    others.toSorted()[0],
    /^warn: \/dev\/nbd1: this version .*lower\.tar and 1 more; serving the recorded/,
  );
  const after = await Promise.all([treeOf(0), treeOf(1), treeOf(2)]);
  t.equal(after[0].uuid, before.uuid);
  for (const other of after.slice(1)) {
    t.not(other.uuid, before.uuid, 'the recorded bytes');
    t.same(treeLines(other.entries), treeLines(before.entries), 'the same tree');
  }
  t.match(
    await second.manager.attach({ image: layers, index: 1 }),
    { reused: true },
    'it has the image still',
  );
  await second.manager.detach('nbd1', {});
  t.same((await treeOf(2)).uuid, after[2].uuid, 'the other one stays');
  for (const name of ['nbd0', 'nbd2']) await second.manager.detach(name, {});
  t.same(readdirSync(join(folder, 'devices')), [], 'nothing is left of detached devices');
});

await test('recorded metadata that are damaged or do not fit are refused', async (t) => {
  const { folder, records, live } = makeWorld(t, 6);
  const store = new DeviceRecords(join(folder, 'devices'));
  const layer = join(folder, 'layer.tar');
  writeFileSync(layer, writeUstar([{ name: 'a', bytes: Buffer.alloc(9000, 'a') }]));
  const first = await live();
  for (let i = 0; i < 5; i++) await first.manager.attach({ image: [layer], connections: 1 });
  await digestsKept(folder);
  await first.die();
  const damages: Record<number, (path: string, digest: string) => void | Promise<void>> = {
    0: (path) => rmSync(path),
    1: (path) => truncateSync(path, statSync(path).size - 1),
    2: (path) => {
      const bytes = readFileSync(path);
      bytes[bytes.length - 1] = (bytes.at(-1) as number) ^ 1;
      writeFileSync(path, bytes);
    },
    3: async (path, digest) => {
      const tree = await readMetadataFile(path, digest);
      tree.rows.moffsets[1] = 1000;
      rmSync(path);
      await writeMetadataFile(path, tree);
    },
    4: async (path, digest) => {
      const tree = await readMetadataFile(path, digest);
      rmSync(path);
      // Of other files, and the contents of one are elsewhere in the layer.
      tree.rows.moffsets[1] = 2;
      await writeMetadataFile(path, { ...tree, identity: 'e'.repeat(64) });
    },
  };
  for (const record of records()) {
    const { id, index, metadata } = await rewriteAsOther(store, record);
    await damages[index]?.(store.metadataPath(id), metadata ?? '');
  }
  const second = await live();
  await second.manager.recover();
  const states = (await second.manager.status()).map(({ device, state }) => `${device} ${state}`);
  t.same(
    states,
    [0, 1, 2, 3, 4].map((index) => `/dev/nbd${index} failed`),
  );
  const reasons = [
    'ENOENT',
    'do not match their checksum|cannot be inflated',
    'its bytes do not match their checksum',
    'row 1 maps .* not within both',
    'its layers are other files, and their tree is another one: "a" differs',
  ];
  for (const [index, reason] of reasons.entries()) {
    const form = new RegExp(`nbd${index} .*layer.tar is not the image with which .*${reason}`);
    t.ok(
      second.log.some((line) => form.test(line)),
      `${form}\n${second.log.join('\n')}`,
    );
  }
  await second.manager.detach('nbd0', {});
});

await test('what is kept of a device is kept once, and later if an older daemon has attached it', async (t) => {
  const { folder, image, live, records } = makeWorld(t);
  const devices = join(folder, 'devices');
  const layer = join(folder, 'layer.tar');
  writeFileSync(layer, writeUstar([{ name: 'a', bytes: Buffer.from('a') }]));
  const first = await live();
  await first.manager.attach({ image: [layer], connections: 1 });
  await first.manager.attach({ image: [image], connections: 1 });
  const kept = (): string[] => readdirSync(devices).filter((name) => name.includes('.metadata'));
  const [name = ''] = kept();
  const id = records().find(({ index }) => index === 0)?.id ?? '';
  t.same(kept(), [`${id}.metadata`], 'only an image of files has it');
  t.equal(statSync(join(devices, name)).mode & 0o777, 0o600);
  await digestsKept(folder);
  await first.die();
  renameSync(join(devices, name), join(devices, `${'0'.repeat(16)}.metadata`));
  writeFileSync(join(devices, `${id}.metadata.new`), 'unfinished');
  const second = await live();
  await second.manager.recover();
  t.same(kept(), [name], 'strays are gone, and the device has its own again');
});

await test('a plain archive that is another file must have the same bytes', async (t) => {
  const { folder, records, live } = makeWorld(t);
  const layer = join(folder, 'layer.tar');
  const tar = writeUstar([fileOf('a', 60_000)]);
  writeFileSync(layer, tar);
  const first = await live();
  await first.manager.attach({ image: [layer], connections: 1 });
  const id = records()[0]?.id ?? '';
  const path = join(folder, 'devices', `${id}.contents`);
  const kept = (): string => readFileSync(path, 'utf8');
  await until(() => !kept().includes('null'));
  t.equal(
    (JSON.parse(kept()) as { digests: string[] }).digests[0],
    sha256(tar).slice('sha256:'.length),
  );
  await digestsKept(folder);
  await first.die();

  // The same headers, head and tail, and other contents.
  const other = Buffer.from(tar);
  other[30_000] = 1;
  writeFileSync(`${layer}.new`, other);
  renameSync(`${layer}.new`, layer);
  const second = await live();
  await second.manager.recover();
  t.match(await second.manager.status(), [{ state: 'failed' }]);
  t.match(second.log, [
    /layer\.tar is not the image with which it was attached: .*layer\.tar: expected digest sha256:\w+, got sha256:/,
  ]);
  const before = kept();
  writeFileSync(`${layer}.new`, tar);
  renameSync(`${layer}.new`, layer);
  // It is known as that file from now on.
  await until(() => kept() !== before);
  await second.die();

  // The very same file is not read again.
  const third = await live();
  await third.manager.recover();
  t.same(await third.manager.repairAll(60_000), []);
  await third.manager.detach('nbd0', {});
  t.same(readdirSync(join(folder, 'devices')), []);
});

await test('a plain archive that is another file before its digest was computed', async (t) => {
  const { folder, records, live } = makeWorld(t);
  const layer = join(folder, 'layer.tar');
  writeFileSync(layer, writeUstar([fileOf('a', 60_000)]));
  const first = await live();
  await first.manager.attach({ image: [layer], connections: 1 });
  const path = join(folder, 'devices', `${records()[0]?.id ?? ''}.contents`);
  await until(() => !readFileSync(path, 'utf8').includes('null'));
  await digestsKept(folder);
  await first.die();
  const kept = JSON.parse(readFileSync(path, 'utf8')) as object;
  writeFileSync(path, JSON.stringify({ ...kept, digests: null }));
  copyFileSync(layer, `${layer}.copy`);
  renameSync(`${layer}.copy`, layer);
  const second = await live();
  await second.manager.recover();
  t.match(second.log, [
    /layer\.tar: other files than before, and the digests of the former were not/,
  ]);
});

await test('a compressed layer that is another file must have the same bytes', async (t) => {
  const { folder, live, records } = makeWorld(t);
  // The fingerprint has the size, the head and the tail. Bytes that gzip stores as they are.
  const tar = writeUstar([fileOf('head', 30_000), fileOf('a', 60_000), fileOf('tail', 30_000)]);
  const end = gzipSync(writeUstar([fileOf('z', 9000)]), { level: 0 });
  const layerOf = (bytes: Buffer): Buffer =>
    Buffer.concat([gzipSync(bytes.subarray(0, -1024), { level: 0 }), end]);
  const layer = join(folder, 'layer.tar.gz');
  writeFileSync(layer, layerOf(tar));
  const first = await live();
  await first.manager.attach({ image: [layer], connections: 1 });
  await digestsKept(folder);
  await first.die();

  const other = Buffer.from(tar);
  other[60_000] = 1;
  t.equal(layerOf(other).length, layerOf(tar).length);
  writeFileSync(`${layer}.new`, layerOf(other));
  renameSync(`${layer}.new`, layer);
  const second = await live();
  await second.manager.recover();
  t.match(await second.manager.status(), [{ state: 'failed' }]);
  t.match(second.log, [
    /layer\.tar\.gz is not the image with which it was attached: .*layer\.tar\.gz: expected digest sha256:/,
  ]);
  const path = join(folder, 'devices', `${records()[0]?.id ?? ''}.contents`);
  const before = readFileSync(path, 'utf8');
  writeFileSync(`${layer}.new`, layerOf(tar));
  renameSync(`${layer}.new`, layer);
  await until(() => readFileSync(path, 'utf8') !== before);
  await second.die();
  const third = await live();
  await third.manager.recover();
  t.same(await third.manager.repairAll(60_000), []);
});

await test('a plain archive that changes before all of it is hashed', async (t) => {
  const { folder, image, live, records } = makeWorld(t);
  const layer = join(folder, 'layer.tar');
  // At least half a second of pauses.
  writeFileSync(layer, writeUstar([fileOf('a', 100_000_000)]));
  const first = await live();
  // Threads have started then.
  await first.manager.attach({ image: [image], connections: 1 });
  await first.manager.attach({ image: [layer], connections: 1 });
  const file = openSync(layer, 'r+');
  writeSync(file, 'b', 30_000_000);
  closeSync(file);
  const line =
    /nbd1: the digests of its layers are not kept: .*layer\.tar: it changed while it was read; a later/;
  await until(() => first.log.some((each) => line.test(each)));
  const id = records().find(({ index }) => index === 1)?.id ?? '';
  const path = join(folder, 'devices', `${id}.contents`);
  t.match(JSON.parse(readFileSync(path, 'utf8')), { digests: null });
});
