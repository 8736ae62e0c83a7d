// What a device was made of, recorded and used again: only over the same blobs, and only within them.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { test } from 'tap';
import type { MemorySpec } from '../../../daemon/blob/memory-source.js';
import { OpenImages } from '../../../daemon/image/open-images.js';
import type { OpenImage } from '../../../daemon/opener/opener.js';
import { sourceOfWords } from '../../../daemon/image/plan/image-source.js';
import {
  recordTree,
  replayedDisk,
  type RecordedTree,
} from '../../../daemon/image/recorded-tree.js';
import type { DiskSpec, SourceSpec } from '../../../daemon/image/disks/spec.js';
import { PieceTableBuilder } from '../../../daemon/pieces/piece-table.js';
import { randomBytes } from '../../support/pattern.js';
import { writeUstar, type TarFile } from '../../support/ustar.js';

type Image = Pick<OpenImage, 'disk' | 'marks'>;
type LsmtSpec = Extract<DiskSpec, { kind: 'lsmt' }>;

const MARKS = { fingerprint: 'f', identity: 'i' };

await test('a recorded tree is the disk again', async (t) => {
  const layer = join(t.testdir(), 'layer.tar');
  writeFileSync(layer, writeUstar([{ name: 'a', bytes: Buffer.alloc(9000, 'a') }]));
  const images = new OpenImages({ log: () => undefined }, false);
  t.teardown(() => images.close());
  const { image } = await images.open(sourceOfWords([layer]));
  const recorded = (await recordTree(image)) as RecordedTree;
  t.equal(recorded.rows.count, 2);
  const own = image.disk as LsmtSpec;
  const digest = (own.layers[0] as MemorySpec).digest ?? '';
  t.same(await replayedDisk(recorded, image, digest, 'image'), own);
});

const around = (name: string): TarFile => ({ name, bytes: randomBytes(name.length, 20_000) });
const gzip = (bytes: Buffer): Buffer => gzipSync(bytes, { level: 0 });
const words = (text: string): Buffer => Buffer.from(text.repeat(9000).slice(0, 9000));

/** Layers of the same length, with the same start and end: what differs is in the middle. */
function layerOf(name: string, text: string): Buffer {
  return writeUstar([around('a'), { name: `d/${name}`, bytes: words(text) }, around('zz')]);
}

await test('layers that are other files must have the same tree, and the same digests of pieces', async (t) => {
  const folder = t.testdir();
  const images = new OpenImages({ log: () => undefined }, false);
  t.teardown(() => images.close());
  const open = async (name: string, bytes: Buffer) => {
    writeFileSync(join(folder, name), bytes);
    return images.open(sourceOfWords([join(folder, name)]));
  };
  for (const [form, pack] of [
    ['tar', (bytes: Buffer) => bytes],
    ['tar.gz', gzip],
  ] as const) {
    const first = await open(`first.${form}`, pack(layerOf('one', 'text')));
    const recorded = (await recordTree(first.image)) as RecordedTree;
    const own = first.image.disk as LsmtSpec;
    const digest = (own.layers[0] as MemorySpec).digest ?? '';
    const copy = await open(`copy.${form}`, pack(layerOf('one', 'text')));
    t.not(copy.key, first.key, 'not the same file');
    const replayed = (await replayedDisk(recorded, copy.image, digest, 'x')) as LsmtSpec;
    t.same(replayed.index, own.index);
    t.equal(replayed.layers[1], (copy.image.disk as LsmtSpec).layers[1], 'contents of the copy');

    const renamed = await open(`renamed.${form}`, pack(layerOf('two', 'text')));
    const other =
      form === 'tar'
        ? /their tree is another one: "d\/(one|two)" differs/
        : /content source 0 has other digests/;
    await t.rejects(replayedDisk(recorded, renamed.image, digest, 'x'), {
      code: 'BAD_FORMAT',
      message: other,
    });
  }
  // The same tree and the same places: only digests tell these.
  const before = await open('before.tar.gz', gzip(layerOf('one', 'text')));
  const recorded = (await recordTree(before.image)) as RecordedTree;
  const changed = await open('changed.tar.gz', gzip(layerOf('one', 'TEXT')));
  await t.rejects(replayedDisk(recorded, changed.image, 'd', 'x'), {
    code: 'BAD_FORMAT',
    message: /its layers are other files, and content source 0 has other digests of pieces/,
  });
});

await test('other disks have no tree', async (t) => {
  const source: SourceSpec = { kind: 'file', name: 'x', fd: 0, base: 0, size: 512 };
  const raw: Image = { disk: { kind: 'raw', source }, marks: MARKS };
  t.equal(await recordTree(raw), null);
  const { image, recorded } = await made();
  const disk = { ...(image.disk as LsmtSpec), layers: [source] };
  t.equal(await recordTree({ disk, marks: MARKS }), null);
  await t.rejects(replayedDisk(recorded, raw, 'd', 'x'), {
    message: /not made of layers of files/,
  });
});

/** Of two sources: a file, and pieces of an eStargz layer. */
async function made(lengths = [600, 300]): Promise<{ image: Image; recorded: RecordedTree }> {
  const builder = new PieceTableBuilder('blob');
  for (const [i, length] of lengths.entries()) {
    builder.align();
    builder.addStored({ codec: 'gzip', begin: 100 * i, inner: 0, length, digest: null });
  }
  const file: SourceSpec = { kind: 'file', name: 'x', fd: 0, base: 0, size: 1000 };
  const table = builder.finish(1000);
  const pieces: SourceSpec = { kind: 'pieces', name: 'p', table, format: 'estargz', of: file };
  const metadata: SourceSpec = {
    kind: 'memory',
    name: 'm',
    memory: new SharedArrayBuffer(4096),
    digest: 'd',
  };
  const { indexOf } = await import('../../../daemon/erofs/device-index.js');
  const rows = {
    count: 3,
    sectors: Float64Array.of(0, 8, 16),
    lengths: Float64Array.of(8, 2, 3),
    sources: Uint8Array.of(0, 1, 2),
    moffsets: Float64Array.of(0, 0, 0),
  };
  const index = indexOf(rows, 12_288, 'x');
  const disk: DiskSpec = { kind: 'lsmt', index, layers: [metadata, file, pieces] };
  const image = { disk, marks: MARKS };
  return { image, recorded: (await recordTree(image)) as RecordedTree };
}

await test('other blobs than those of the record are refused', async (t) => {
  const { image, recorded } = await made();
  t.same(await replayedDisk(recorded, image, 'd', 'x'), image.disk);
  const refused = async (other: Image, form: RegExp): Promise<void> => {
    await t.rejects(replayedDisk(recorded, other, 'd', 'x'), { code: 'BAD_FORMAT', message: form });
  };
  const disk = image.disk as LsmtSpec;
  const [metadata, file, pieces] = disk.layers as [SourceSpec, SourceSpec, SourceSpec];
  const of = (...layers: SourceSpec[]): Image => ({ disk: { ...disk, layers }, marks: MARKS });
  await refused(of(metadata, file), /1 content sources, and had 2/);
  const longer = { ...file, size: 1001 } as SourceSpec;
  await refused(of(metadata, longer, pieces), /source 0 has 1001 bytes, and had 1000/);
  const swapped = (await made([500, 300])).image.disk as LsmtSpec;
  await refused(of(metadata, file, swapped.layers[2] as SourceSpec), /source 1 has its pieces at/);
});

await test('rows that are not within their source and the device are refused', async (t) => {
  const { image, recorded } = await made();
  const { rows } = recorded;
  const cases: [keyof typeof rows, number, number][] = [
    ['sectors', 1, 7],
    ['sectors', 2, 22],
    ['sectors', 0, NaN],
    ['sectors', 0, -1],
    ['lengths', 1, 0],
    ['lengths', 1, 0.5],
    ['lengths', 2, 1e300],
    ['sources', 1, 3],
    ['moffsets', 1, 1],
    ['moffsets', 2, -1],
    ['moffsets', 2, 2 ** 53],
  ];
  for (const [column, row, value] of cases) {
    const changed = (rows[column] as Float64Array).slice();
    changed[row] = value;
    const other = { ...recorded, rows: { ...rows, [column]: changed } };
    await t.rejects(
      replayedDisk(other, image, 'd', 'x'),
      { code: 'BAD_FORMAT', message: /row \d maps .*: not within both/ },
      `${column}[${row}] = ${value}`,
    );
  }
});
