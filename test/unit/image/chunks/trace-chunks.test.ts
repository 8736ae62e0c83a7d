// Plain bytes of layers become chunks of blobs: through jump tables, tar members, and nothing.
import t from 'tap';
import type { CachedSpec } from '../../../../daemon/blob/cached-source.js';
import { CHUNK_SIZE } from '../../../../daemon/blob/chunk-map.js';
import type { UpstreamEntry } from '../../../../daemon/fetch/upstream-trace.js';
import { hasHints, type DiskSpec, type SourceSpec } from '../../../../daemon/image/disks/spec.js';
import { chunksOfHints, chunksOfTrace } from '../../../../daemon/image/chunks/trace-chunks.js';
import { JumpTableBuilder } from '../../../../daemon/zfile/jump-table.js';

const MIB = 1 << 20;
const EVERYTHING = Number.MAX_SAFE_INTEGER;

function cached(name: string, size: number): CachedSpec {
  const state = new SharedArrayBuffer(0);
  return { kind: 'cached', name, digest: name, size, blob: 1, fd: -1, slotsFd: -1, state };
}

/** Blocks of 4096 bytes, each of which is stored in `stored` bytes, after a tar header of 512 bytes. */
function zfile(digest: string, blocks: number, stored: number): SourceSpec {
  const builder = new JumpTableBuilder({
    blob: digest,
    count: blocks,
    blockSize: 4096,
    verify: true,
    dictSize: 0,
    indexOffset: 2 ** 52,
  });
  const lengths = Buffer.alloc(4 * blocks);
  for (let i = 0; i < blocks; i++) lengths.writeUInt32LE(stored, 4 * i);
  builder.push(lengths, blocks);
  const size = 512 + blocks * stored;
  return {
    kind: 'zfile',
    zfile: {
      name: digest,
      algorithm: 'lz4',
      blockSize: 4096,
      originalSize: blocks * 4096 - 100,
      verify: true,
      table: builder.finish().data,
    },
    of: { kind: 'slice', name: digest, offset: 512, size, of: cached(digest, size + 2048) },
  };
}

const LAYERS: SourceSpec[] = [
  zfile('bottom', 1024, 1000),
  { kind: 'file', name: 'local', fd: -1, base: 0, size: MIB },
  cached('top', 4 * MIB),
];
const DISK = { kind: 'lsmt', index: {}, layers: LAYERS } as unknown as DiskSpec;

await t.test('the stored blocks of a range, with the headers before them', async (test) => {
  // Block 130 begins at 512 + 512 + 130 * 1000, in chunk 2 by some bytes; block 129 ends there.
  const range = { layer: 0, offset: 129 * 4096 + 4095, length: 2 };
  const { entries } = await chunksOfTrace([range], DISK, EVERYTHING);
  const begin = Math.floor((1024 + 129 * 1000) / CHUNK_SIZE);
  const end = Math.floor((1024 + 131 * 1000 - 1) / CHUNK_SIZE);
  test.same(entries, [{ digest: 'bottom', first: begin, last: end }]);
  test.same([begin, end], [1, 2], 'both sides of a border');
  const last = { layer: 0, offset: 1024 * 4096 - 101, length: 1 };
  const found = await chunksOfTrace([last], DISK, EVERYTHING);
  const chunk = Math.floor((1024 + 1024 * 1000 - 1) / CHUNK_SIZE);
  test.same(found, { entries: [{ digest: 'bottom', first: chunk, last: chunk }], foreign: 0 });
});

function at(chunk: number, chunks = 1): UpstreamEntry {
  return { layer: 2, offset: chunk * CHUNK_SIZE, length: chunks * CHUNK_SIZE };
}

await t.test('each chunk once, in the order of first use, neighbours joined', async (test) => {
  const { entries } = await chunksOfTrace([at(9), at(3), at(4), at(2, 4), at(9)], DISK, EVERYTHING);
  test.same(entries, [
    { digest: 'top', first: 9, last: 9 },
    { digest: 'top', first: 3, last: 4 },
    { digest: 'top', first: 2, last: 2 },
    { digest: 'top', first: 5, last: 5 },
  ]);
});

await t.test('layers on this machine and what is not there are left out', async (test) => {
  const found = await chunksOfTrace(
    [
      { layer: 1, offset: 0, length: 4096 },
      { layer: 3, offset: 0, length: 4096 },
      { layer: 2, offset: 4 * MIB, length: 2 },
      { layer: 0, offset: 1024 * 4096 - 100, length: 1 },
      { layer: 2, offset: Number.MAX_SAFE_INTEGER - 5, length: 5 },
    ],
    DISK,
    EVERYTHING,
  );
  test.same(found, { entries: [], foreign: 4 });
});

await t.test('the end of a layer ends an entry', async (test) => {
  const found = await chunksOfTrace(
    [
      { layer: 2, offset: 4 * MIB - 1, length: 2 },
      { layer: 0, offset: 1024 * 4096 - 101, length: Number.MAX_SAFE_INTEGER - 2 ** 24 },
    ],
    DISK,
    EVERYTHING,
  );
  test.same(found, {
    entries: [
      { digest: 'top', first: 63, last: 63 },
      { digest: 'bottom', first: 15, last: 15 },
    ],
    foreign: 0,
  });
});

await t.test('no more than was allowed: of an entry, and of all', async (test) => {
  const all = { layer: 2, offset: 0, length: 4 * MIB };
  const entry = await chunksOfTrace([all], DISK, EVERYTHING);
  test.same(entry.entries, [{ digest: 'top', first: 0, last: MIB / CHUNK_SIZE - 1 }]);
  const entries = Array.from({ length: 10_000 }, (_, i) => {
    return { layer: 2, offset: (i % 64) * CHUNK_SIZE, length: MIB };
  }).filter(({ offset }) => offset <= 3 * MIB);
  const some = await chunksOfTrace(entries, DISK, 3 * CHUNK_SIZE);
  test.same(some.entries, [{ digest: 'top', first: 0, last: 2 }]);
});

await t.test('raw disks and partitions have one layer', async (test) => {
  const raw: DiskSpec = { kind: 'raw', source: cached('raw', MIB) };
  const part: DiskSpec = { kind: 'partition', disk: raw, offset: 512, size: 1024 };
  for (const disk of [raw, part]) {
    const found = await chunksOfTrace([{ layer: 0, offset: 0, length: 1 }], disk, EVERYTHING);
    test.same(found.entries, [{ digest: 'raw', first: 0, last: 0 }]);
  }
});

function pieces(of: SourceSpec, end?: number): SourceSpec {
  const prefetch = end === undefined ? undefined : end === 0 ? [] : [{ begin: 0, end }];
  return { kind: 'pieces', prefetch, of } as unknown as SourceSpec;
}

await t.test('what layers want to be fetched before they are read', (test) => {
  const layers = [
    { kind: 'memory' } as unknown as SourceSpec,
    pieces(cached('one', 9 * MIB), 2 * CHUNK_SIZE + 1),
    pieces(cached('no landmark', MIB)),
    pieces(cached('nothing', MIB), 0),
    pieces({ kind: 'file', name: 'local', fd: -1, base: 0, size: MIB }, 100),
    pieces(cached('two', MIB), 1),
    cached('archive', MIB),
  ];
  const disk = { kind: 'lsmt', index: {}, layers } as unknown as DiskSpec;
  test.same(chunksOfHints(disk, EVERYTHING), [
    { digest: 'one', first: 0, last: 2 },
    { digest: 'two', first: 0, last: 0 },
  ]);
  test.same(chunksOfHints(disk, 2 * CHUNK_SIZE), [{ digest: 'one', first: 0, last: 1 }]);
  test.ok(hasHints(disk));
  test.notOk(hasHints({ ...disk, layers: layers.slice(2, 4) } as unknown as DiskSpec));
  test.end();
});

await t.test('a layer that wants the same long range 65,536 times: it is walked once', (test) => {
  const size = 4096 * MIB;
  const prefetch = Array.from({ length: 65_536 }, (_, i) => ({ begin: i, end: size }));
  const layer = { kind: 'pieces', prefetch, of: cached('one', size) } as unknown as SourceSpec;
  const disk = { kind: 'lsmt', index: {}, layers: [layer] } as unknown as DiskSpec;
  const last = size / CHUNK_SIZE - 1;
  test.same(chunksOfHints(disk, EVERYTHING), [{ digest: 'one', first: 0, last }]);
  test.same(chunksOfHints(disk, MIB), [{ digest: 'one', first: 0, last: MIB / CHUNK_SIZE - 1 }]);
  test.end();
});
