// turboOCI's index of a gzip blob: what it is read as, what is refused, and spans that do not end as it says.
import { gzipSync } from 'node:zlib';
import { test } from 'tap';
import { SliceSource } from '../../../daemon/blob/slice-source.js';
import { readFully, type BlobSource } from '../../../daemon/blob/source.js';
import { loadAround, ReaderFactory } from '../../../daemon/image/disks/reader-factory.js';
import { UNBOUNDED } from '../../../daemon/lib/effort.js';
import { DecodedCache } from '../../../daemon/pieces/decoded-cache.js';
import { MIN_KEPT_MEMBERS } from '../../../daemon/pieces/limits.js';
import { PiecesSource } from '../../../daemon/pieces/pieces-source.js';
import { readGzipIndex } from '../../../daemon/turbo/gzip-index.js';
import { MAX_CHECKPOINTS, MAX_GZIP_INDEX_BYTES } from '../../../daemon/turbo/limits.js';
import {
  gzipIndexOf,
  writeGzipIndex,
  type GzipIndexFields,
  type WrittenCheckpoint,
} from '../../support/gzip-index-writer.js';
import { MemorySource } from '../../support/memory-source.js';
import { randomBytes, textBytes } from '../../support/pattern.js';
import { writePieces } from '../../support/piece-writer.js';

await loadAround();

const PLAIN = Buffer.concat([
  textBytes(1, 300_000),
  randomBytes(2, 100_000),
  textBytes(3, 300_100),
]);
const GZIP = gzipSync(PLAIN, { memLevel: 5 });
const good = await gzipIndexOf(GZIP, 60_000);
const { checkpoints } = good;

async function sourceOf(fields: GzipIndexFields, gzip = GZIP): Promise<BlobSource> {
  const stored = new MemorySource(gzip, 'layer.tar.gz');
  const index = new MemorySource(writeGzipIndex(fields), 'gzip.meta');
  const table = await readGzipIndex(index, { name: 'layer.tar.gz', size: GZIP.length }, UNBOUNDED);
  const spec = { kind: 'pieces', name: 'layer.tar.gz (inflated)', table } as const;
  return new PiecesSource(spec, stored, new ReaderFactory().pieceTools());
}

/** With one checkpoint changed. */
function changed(number: number, change: Partial<WrittenCheckpoint>): GzipIndexFields {
  return {
    ...good,
    checkpoints: checkpoints.map((c, i) => (i === number ? { ...c, ...change } : c)),
  };
}

await test('all bytes, from every checkpoint, with windows in zlib or not', async (t) => {
  t.ok(checkpoints.length > 5, `${checkpoints.length} checkpoints`);
  t.ok(new Set(checkpoints.map(({ bits }) => bits)).size > 2, 'at several bits');
  for (const algorithm of [0, 1]) {
    const source = await sourceOf({ ...good, algorithm });
    t.equal(source.size, Math.ceil(PLAIN.length / 512) * 512, 'filled up to whole sectors');
    for (const { plain } of checkpoints.toReversed()) {
      const length = Math.min(50_000, PLAIN.length - plain);
      const bytes = await readFully(source, plain, length);
      t.ok(bytes.equals(PLAIN.subarray(plain, plain + length)), `from ${plain} on`);
    }
    const end = await readFully(source, PLAIN.length - 100, source.size - PLAIN.length + 100);
    t.ok(end.subarray(0, 100).equals(PLAIN.subarray(-100)));
    t.ok(end.subarray(100).every((byte) => byte === 0));
  }
});

await test('a checkpoint at the end, and spans shorter than a window', async (t) => {
  const end = {
    plain: PLAIN.length,
    stored: GZIP.length - 8,
    bits: 0,
    window: PLAIN.subarray(-32_768),
  };
  const all = { ...good, checkpoints: [...checkpoints, end] };
  t.ok((await readFully(await sourceOf(all), 0, PLAIN.length)).equals(PLAIN));
  const short = await gzipIndexOf(gzipSync(PLAIN, { memLevel: 1 }), 1000);
  t.ok(
    short.checkpoints.some(
      ({ plain }, i) => plain - (short.checkpoints[i - 1]?.plain ?? 0) < 32_768,
    ),
  );
  const gzip = gzipSync(PLAIN, { memLevel: 1 });
  const index = new MemorySource(writeGzipIndex(short), 'gzip.meta');
  const table = await readGzipIndex(index, { name: 'layer', size: gzip.length }, UNBOUNDED);
  const spec = { kind: 'pieces', name: 'layer', table } as const;
  const source = new PiecesSource(spec, new MemorySource(gzip), new ReaderFactory().pieceTools());
  t.ok((await readFully(source, 0, PLAIN.length)).equals(PLAIN));
});

await test('a blob of several members, with spans that go on in the next one', async (t) => {
  const members = [0, 250_000, 500_000].map((at) =>
    gzipSync(PLAIN.subarray(at, Math.min(at + 250_000, PLAIN.length)), { memLevel: 5 }),
  );
  const gzip = Buffer.concat(members);
  const last = gzip.length - (members[2]?.length ?? 0);
  const inBlocks = await gzipIndexOf(gzip, 60_000);
  t.ok(inBlocks.checkpoints.filter(({ stored }) => stored > last).length > 0, 'some in the last');
  const withMembers = await gzipIndexOf(gzip, 60_000, true);
  t.equal(withMembers.checkpoints.length, inBlocks.checkpoints.length + 2);
  for (const fields of [inBlocks, withMembers]) {
    const index = new MemorySource(writeGzipIndex(fields), 'gzip.meta');
    const table = await readGzipIndex(index, { name: 'layer', size: gzip.length }, UNBOUNDED);
    const spec = { kind: 'pieces', name: 'layer', table } as const;
    const source = new PiecesSource(spec, new MemorySource(gzip), new ReaderFactory().pieceTools());
    t.ok((await readFully(source, 0, PLAIN.length)).equals(PLAIN));
  }
});

await test('an index that is longer than what is kept of the archive that it is in', async (t) => {
  const gzip = gzipSync(PLAIN, { memLevel: 1 });
  const index = writeGzipIndex({ ...(await gzipIndexOf(gzip, 8000)), algorithm: 0 });
  const pieceSize = 500_000;
  t.ok(index.length > (MIN_KEPT_MEMBERS + 1) * pieceSize);
  const { blob, around } = writePieces(index, { codec: 'zstd', pieceSize });
  const readers = new ReaderFactory();
  const tools = { ...readers.pieceTools(), cache: new DecodedCache(null, 1) };
  const archive = new PiecesSource(around, new MemorySource(blob), tools);
  const slice = { kind: 'slice', name: 'gzip.meta', offset: 0, size: index.length } as const;
  const inArchive = new SliceSource(slice, archive);
  const table = await readGzipIndex(inArchive, { name: 'layer', size: gzip.length }, UNBOUNDED);
  const spec = { kind: 'pieces', name: 'layer', table } as const;
  const source = new PiecesSource(spec, new MemorySource(gzip), readers.pieceTools());
  t.ok((await readFully(source, 0, PLAIN.length)).equals(PLAIN));
});

await test('a span that does not end as the next window says is EIO, all of it', async (t) => {
  const window = Buffer.from(checkpoints[3]?.window ?? '');
  window[32_767] = (window[32_767] as number) ^ 1;
  const source = await sourceOf(changed(3, { window }));
  const before = checkpoints[2]?.plain ?? 0;
  await t.rejects(readFully(source, before, 10), { code: 'BAD_CHECKSUM' });
  t.ok(
    (await readFully(source, 0, before)).equals(PLAIN.subarray(0, before)),
    'others can be read',
  );
});

await test('a damaged blob is EIO where that shows', async (t) => {
  const gzip = Buffer.from(GZIP);
  const at = Math.floor(((checkpoints[1]?.stored ?? 0) + (checkpoints[2]?.stored ?? 0)) / 2);
  gzip.fill(0xff, at, at + 3000);
  const source = await sourceOf(good, gzip);
  await t.rejects(readFully(source, checkpoints[1]?.plain ?? 0, 10), {
    code: /^BAD_(DATA|CHECKSUM)$/,
  });
});

await test('places that are not blocks are EIO', async (t) => {
  for (const change of [
    { bits: ((checkpoints[2]?.bits ?? 0) + 3) % 8 },
    { stored: (checkpoints[2]?.stored ?? 0) + 9 },
  ]) {
    const source = await sourceOf(changed(2, change));
    await t.rejects(readFully(source, checkpoints[2]?.plain ?? 0, 10), {
      code: /^BAD_(DATA|CHECKSUM)$/,
    });
  }
});

const number = (at: number, value: bigint): GzipIndexFields => ({
  ...good,
  patch: (header) => void header.writeBigInt64LE(value, at),
});
const byte = (at: number, value: number): GzipIndexFields => ({
  ...good,
  patch: (header) => void (header[at] = value),
});
const HUGE = 2n ** 62n;

const REFUSED: [what: string, fields: GzipIndexFields, code: string, message: RegExp][] = [
  ['magic', byte(0, 0), 'BAD_FORMAT', /gzip\.meta: gzip index magic at byte 0: expected 646467/],
  ['version', byte(8, 2), 'BAD_FORMAT', /version at byte 8: expected 1, got 2$/],
  ['algorithm', byte(10, 2), 'BAD_FORMAT', /compression of windows at byte 10: .* got 2$/],
  ['window', byte(18, 0), 'BAD_FORMAT', /window size at byte 17: expected 32768, got 0$/],
  ['entry', byte(21, 30), 'BAD_FORMAT', /checkpoint size at byte 21: expected 29, got 30$/],
  ['no checkpoint', number(25, 0n), 'BAD_FORMAT', /number of checkpoints at byte 25: .* got 0$/],
  [
    'many',
    number(25, BigInt(MAX_CHECKPOINTS) + 1n),
    'BAD_FORMAT',
    /checkpoints at byte 25: .* 262144, got 262145$/,
  ],
  [
    'one more',
    number(25, BigInt(checkpoints.length) + 1n),
    'BAD_FORMAT',
    /gzip index checkpoints at/,
  ],
  [
    'one less',
    number(25, BigInt(checkpoints.length) - 1n),
    'BAD_DATA',
    /gzip index checkpoints at/,
  ],
  [
    'negative count',
    number(25, -1n),
    'BAD_FORMAT',
    /checkpoints at byte 25: .* got 18446744073709551615$/,
  ],
  [
    'gzip size',
    number(33, 5n),
    'BAD_FORMAT',
    /size of the gzip blob at byte 33: expected \d+, got 5$/,
  ],
  [
    'index size',
    number(41, HUGE),
    'BAD_FORMAT',
    /size of the index at byte 41: expected \d+, got 4611686018427387904$/,
  ],
  [
    'plain size',
    number(49, HUGE),
    'BAD_FORMAT',
    /plain size at byte 49: expected 1 to 274877906944, got 4611686018427387904$/,
  ],
  ['small plain size', number(49, 100_000n), 'BAD_FORMAT', /checkpoint \d+ plain offset/],
  ['area', number(313, HUGE), 'BAD_FORMAT', /gzip index area at byte 313/],
  [
    'area size',
    number(321, 5n),
    'BAD_FORMAT',
    /size of the area at byte 321: expected \d+, got 5$/,
  ],
  [
    'first',
    changed(0, { plain: 1 }),
    'BAD_FORMAT',
    /checkpoint 0 plain offset at byte \d+: expected 0 to 0, got 1$/,
  ],
  ['order', changed(2, { plain: 5 }), 'BAD_FORMAT', /checkpoint 2 plain offset/],
  ['stored order', changed(2, { stored: 5 }), 'BAD_FORMAT', /checkpoint 2 offset/],
  ['past the blob', changed(2, { stored: GZIP.length }), 'BAD_FORMAT', /checkpoint 2 offset/],
  [
    'bits',
    changed(2, { bits: 8 }),
    'BAD_FORMAT',
    /checkpoint 2 bits at byte \d+: expected 0 to 7, got 8$/,
  ],
  ['window in the header', changed(2, { windowAt: 0 }), 'BAD_FORMAT', /checkpoint 2 window at/],
  [
    'window past the end',
    changed(2, { windowLength: 2 ** 31 }),
    'BAD_FORMAT',
    /checkpoint 2 window at/,
  ],
  [
    'a window that is cut',
    changed(2, { windowLength: 9 }),
    'BAD_DATA',
    /gzip index window 2 at byte/,
  ],
  [
    'a short window',
    changed(2, { window: Buffer.alloc(100) }),
    'BAD_FORMAT',
    /window 2 at byte \d+: expected 32768 bytes, got 100$/,
  ],
  [
    'a bomb as window',
    changed(2, { window: Buffer.alloc(1 << 24) }),
    'BAD_DATA',
    /gzip index window 2 at/,
  ],
  [
    'a raw short window',
    { ...changed(2, { window: Buffer.alloc(100) }), algorithm: 0 },
    'BAD_FORMAT',
    /window 2 at byte/,
  ],
  [
    'one window for all',
    {
      ...good,
      checkpoints: checkpoints.map((each) => ({ ...each, windowAt: 333, windowLength: 20_000 })),
    },
    'BAD_FORMAT',
    /window length at byte \d+: expected windows that do not overlap, got 20000$/,
  ],
];

await test('what is refused', async (t) => {
  for (const [what, fields, code, message] of REFUSED) {
    await t.rejects(sourceOf(fields), { code, message }, what);
  }
});

await test('a long span, and a checksum', async (t) => {
  const long = { ...good, plainSize: 100 << 20 };
  await t.rejects(sourceOf(long), {
    code: 'LIMIT',
    message: /span at byte \d+: expected at most 67108864 plain/,
  });
  const few = changed(1, { plain: 1, stored: checkpoints[5]?.stored ?? 0 });
  const zero = { ...few, checkpoints: few.checkpoints.filter((_, i) => i < 2) };
  await t.rejects(sourceOf({ ...zero, plainSize: 2 }), {
    code: 'LIMIT',
    message: /stored bytes for 1 plain/,
  });
  const bytes = writeGzipIndex(good);
  bytes[100] = 1;
  const index = new MemorySource(bytes, 'gzip.meta');
  await t.rejects(readGzipIndex(index, { name: 'x', size: GZIP.length }, UNBOUNDED), {
    code: 'BAD_CHECKSUM',
    message: /gzip\.meta: gzip index header at byte 329: expected 0x[0-9a-f]{8}, got 0x/,
  });
  await t.rejects(
    readGzipIndex(new MemorySource(bytes.subarray(0, 332)), { name: 'x', size: 9 }, UNBOUNDED),
    {
      code: 'BAD_FORMAT',
      message: /expected 333 bytes, got 332$/,
    },
  );
});

await test('the size of an index is limited before it is read', async (t) => {
  const index = new MemorySource(Buffer.alloc(0), 'gzip.meta');
  Object.defineProperty(index, 'size', { value: MAX_GZIP_INDEX_BYTES + 1 });
  await t.rejects(readGzipIndex(index, { name: 'x', size: 9 }, UNBOUNDED), {
    code: 'LIMIT',
    message: /gzip index at byte 0: expected at most 134217728 bytes/,
  });
  t.same(index.reads, []);
});
