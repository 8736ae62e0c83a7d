// What a blob says about chunks that share what they are stored in: one changed field at a time, in a small tar.gz and a batch.
import { test } from 'tap';
import { ReaderFactory } from '../../../daemon/image/disks/reader-factory.js';
import { UNBOUNDED } from '../../../daemon/lib/effort.js';
import { readBootstrap } from '../../../daemon/rafs/bootstrap.js';
import { MAX_INFO_BYTES } from '../../../daemon/rafs/limits.js';
import { MAX_DECODED_BYTES, mostStored } from '../../../daemon/pieces/limits.js';
import { MemorySource } from '../../support/memory-source.js';
import { textBytes } from '../../support/pattern.js';
import { shareChunks, type SharedOptions } from '../../support/rafs-shared-writer.js';
import { writeRafs, type WrittenRafs } from '../../support/rafs-writer.js';

const FILES = [
  { path: '', type: 'dir' as const },
  { path: 'words', type: 'reg' as const, bytes: textBytes(1, 30_000) },
];
/** Bytes of an entry of the chunks; there are 8. */
const CONTEXTS = 8 * 24;
const OPTIONS = { codec: 'zstd', infoCodec: 'none', spanSize: 10_000 } as const;
const plain = writeRafs(FILES, { codec: 'none' });
const zran = await shareChunks(plain, { ...OPTIONS, shared: 'zran' });
const batch = await shareChunks(plain, { ...OPTIONS, shared: 'batch' });
const readers = new ReaderFactory();
const tools = {
  effort: UNBOUNDED,
  decoders: () => ({ zstd: readers.zstdDecoders(), lz4: readers.decoder('lz4') }),
};

/** Opens the blob with its information, one of which has other bytes. */
async function open(
  { bootstrap, blobs, at }: WrittenRafs,
  change: (info: Buffer, bootstrap: Buffer, blobTable: number) => unknown = () => undefined,
  size?: number,
): Promise<number> {
  const [data, info] = [...blobs.values()].map((bytes) => Buffer.from(bytes)) as [
    Buffer,
    Buffer | undefined,
  ];
  const changed = Buffer.from(bootstrap);
  change(info ?? data, changed, at.blobTable);
  const { blobs: needed } = await readBootstrap('image.boot', changed, tools);
  const source = new MemorySource(info ?? data, 'info');
  const spec = await needed[0]?.pieces('blob', size ?? data.length, UNBOUNDED, source);
  return spec?.table.count ?? 0;
}

await test('what is right', async (t) => {
  t.equal(await open(zran), 8);
  t.equal(await open(batch), 8);
  const kept: SharedOptions = { ...OPTIONS, shared: 'zran', isKept: true };
  t.equal(await open(await shareChunks(plain, kept)), 8);
});

type Change = Parameters<typeof open>[1];
const header = (info: Buffer): Buffer => info.subarray(info.length - 4096);
const WRONG: [what: string, image: WrittenRafs, change: Change, code: string, message: RegExp][] = [
  ['magic', zran, (b) => header(b).writeUInt8(0, 0), 'BAD_FORMAT', /the magic 0xb10bb10b, got/],
  ['its end', zran, (b) => header(b).writeUInt8(0, 4095), 'BAD_FORMAT', /the magic 0xb10bb10b/],
  ['count', zran, (b) => header(b).writeUInt8(7, 12), 'BAD_FORMAT', /8 chunks, got 7/],
  [
    'contexts',
    zran,
    (b) => header(b).writeUInt8(99, 57),
    'BAD_FORMAT',
    /contexts of 40 bytes, after/,
  ],
  [
    'their place',
    zran,
    (b) => header(b).writeUInt8(1, 40),
    'BAD_FORMAT',
    /after 8 chunks, that end/,
  ],
  [
    'place',
    zran,
    (_, boot, at) => boot.writeUInt8(1, at + 117),
    'BAD_FORMAT',
    /a header that ends by/,
  ],
  [
    'size',
    zran,
    (_, boot, at) => boot.writeUInt8(1, at + 128),
    'BAD_DATA',
    /bytes, stored as stored/,
  ],
  [
    'bomb',
    zran,
    (_, boot, at) => boot.writeBigUInt64LE(BigInt(MAX_INFO_BYTES) + 1n, at + 128),
    'LIMIT',
    /at most 268435456 bytes, got 268435457/,
  ],
  [
    'gzip',
    zran,
    (_, boot, at) => boot.writeUInt8(2, at + 108),
    'BAD_DATA',
    /stored as gzip, got incorrect header check/,
  ],
  ['chunk', zran, (b) => b.writeUInt8(1, 0), 'BAD_FORMAT', /chunk 0 at 0 with 4096 bytes, as in/],
  ['length', zran, (b) => b.writeUInt8(1, 4), 'BAD_FORMAT', /chunk 0 at 0 with 4096 bytes, as in/],
  ['context', zran, (b) => b.writeUInt8(200, 20), 'BAD_FORMAT', /a context below \d+, got 200/],
  ['inner', zran, (b) => b.writeUInt8(200, 18), 'BAD_FORMAT', /a chunk that ends by \d+ of its/],
  ['bits', zran, (b) => b.writeUInt8(8, CONTEXTS + 37), 'BAD_FORMAT', /at most 7 bits, got 8/],
  [
    'no byte',
    zran,
    (b) => b.writeUInt8(1, CONTEXTS + 37) && b.writeUInt8(0, CONTEXTS),
    'BAD_FORMAT',
    /a byte in front of it/,
  ],
  ['window', zran, (b) => b.writeUInt8(1, CONTEXTS + 34), 'BAD_FORMAT', /at most 32768 bytes/],
  ['its place', zran, (b) => b.writeUInt8(1, CONTEXTS + 20), 'BAD_FORMAT', /a window of at most/],
  ['begin', zran, (b) => b.writeUInt8(1, CONTEXTS + 5), 'BAD_FORMAT', /a context of at least one/],
  [
    'stored',
    zran,
    (b) => b.writeUInt8(9, CONTEXTS + 27),
    'BAD_FORMAT',
    /a context of at least one/,
  ],
  [
    'number',
    zran,
    (_, boot, at) => boot.writeUInt8(8, at + 4096 + 72),
    'BAD_FORMAT',
    /a chunk below 8, got 8/,
  ],
];

for (const [what, image, change, code, message] of WRONG) {
  await test(`tar.gz: ${what}`, async (t) => {
    await t.rejects(open(image, change), { code, message });
  });
}

await test('tar.gz: a context that no compressor makes: all of it would be read for one chunk', async (t) => {
  const message = /a context of at most \d+ stored bytes, got 4294967295/;
  await t.rejects(open(zran, longContext, 2 ** 33), { code: 'BAD_FORMAT', message });
  // However many plain bytes it says that it has.
  const most = mostStored(MAX_DECODED_BYTES);
  await t.rejects(open(zran, longPlainContext, 2 ** 33), {
    code: 'BAD_FORMAT',
    message: new RegExp(`a context of at most ${most} stored bytes, got 4294967295`),
  });
});

await test('tar.gz: contexts that share their windows: each would be kept for itself', async (t) => {
  const message = /windows of at most \d+ bytes, as there are, got/;
  await t.rejects(open(zran, shareWindows), { code: 'BAD_FORMAT', message });
});

function longContext(info: Buffer): void {
  info.writeUInt32LE(0xffff_ffff, CONTEXTS + 24);
}

function longPlainContext(info: Buffer): void {
  longContext(info);
  info.writeUInt32LE(0xffff_ffff, CONTEXTS + 28);
}

function shareWindows(info: Buffer): void {
  const count = header(info).readUInt32LE(56);
  const bytes = info.length - 4096 - CONTEXTS - 40 * count;
  for (let at = CONTEXTS; at < CONTEXTS + 40 * count; at += 40) {
    info.writeBigUInt64LE(0n, at + 16);
    info.writeUInt32LE(Math.min(bytes, 32_768), at + 32);
  }
}

function contextsAt(data: Buffer): number {
  return data.length - 4096 - 3 * 40;
}

await test('a batch that is not in the blob, or is longer than any', async (t) => {
  const cases: [change: Change, message: RegExp][] = [
    [(b) => b.writeUInt8(1, contextsAt(b) + 3), /a context of at least one byte that ends by/],
    [(b) => b.fill(0, contextsAt(b), contextsAt(b) + 4), /a context of at least one byte/],
    [(b) => b.fill(0, contextsAt(b) + 4, contextsAt(b) + 8), /a chunk that ends by 0 of its/],
    [(b) => b.writeUInt8(9, contextsAt(b) + 7), /64 MiB|at most 67108864/],
  ];
  for (const [change, message] of cases) await t.rejects(open(batch, change), { message });
});
