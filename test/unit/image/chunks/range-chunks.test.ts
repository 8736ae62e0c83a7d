// Bytes of a disk become chunks of blobs: through the index to layers, and from there to chunks.
import t from 'tap';
import type { CachedSpec } from '../../../../daemon/blob/cached-source.js';
import { CHUNK_SIZE } from '../../../../daemon/blob/chunk-map.js';
import type { DeviceRange } from '../../../../daemon/ext4/file-system.js';
import { chunksOfRanges } from '../../../../daemon/image/chunks/range-chunks.js';
import type { DiskSpec, SourceSpec } from '../../../../daemon/image/disks/spec.js';
import { ZEROED } from '../../../../daemon/lsmt/entry-log.js';
import { NO_MEMBER } from '../../../../daemon/pieces/piece-table.js';
import { SECTOR } from '../../../../daemon/lsmt/format.js';
import { indexOf } from '../../../support/segments.js';

const EVERYTHING = Number.MAX_SAFE_INTEGER;
/** Sectors of a chunk. */
const CHUNK = CHUNK_SIZE / SECTOR;

function cached(digest: string, count: number): CachedSpec {
  const size = count * CHUNK_SIZE;
  const state = new SharedArrayBuffer(0);
  return { kind: 'cached', name: digest, digest, size, blob: 1, fd: -1, slotsFd: -1, state };
}

const LAYERS: SourceSpec[] = [
  cached('bottom', 100),
  { kind: 'file', name: 'local', fd: -1, base: 0, size: 100 * CHUNK_SIZE },
  cached('top', 50),
];
/** Chunks 0 to 9 of the bottom, but 2 of the local layer, 4 zeroed, and 6 chunk 20 of the top. */
const INDEX = indexOf(
  [
    [0, 10 * CHUNK, 0, 0],
    [2 * CHUNK, CHUNK, 0, 1],
    [4 * CHUNK, CHUNK, ZEROED],
    [6 * CHUNK, CHUNK, 20 * CHUNK, 2],
  ],
  16 * CHUNK_SIZE,
);
const DISK: DiskSpec = { kind: 'lsmt', index: INDEX.data, layers: LAYERS };

/** @param ranges of chunks: the first one, and how many */
async function chunks(
  ranges: readonly (readonly [number, number])[],
  disk = DISK,
  maxBytes = EVERYTHING,
): Promise<string[]> {
  const inBytes = ranges.map(([first, count]): DeviceRange => {
    return { offset: first * CHUNK_SIZE, length: count * CHUNK_SIZE };
  });
  const entries = await chunksOfRanges(inBytes, disk, maxBytes);
  return entries.map(({ digest, first, last }) => `${digest} ${first}-${last}`);
}

await t.test('each layer that holds a part of a range', async (test) => {
  test.same(await chunks([[0, 2]]), ['bottom 0-1']);
  test.same(await chunks([[0, 16]]), [
    'bottom 0-1',
    'bottom 3-3',
    'bottom 5-5',
    'top 20-20',
    'bottom 7-9',
  ]);
  test.same(await chunks([[6, 1]]), ['top 20-20']);
});

await t.test('holes, zeros and layers on this machine are in no blob', async (test) => {
  test.same(
    await chunks([
      [2, 1],
      [4, 1],
      [12, 4],
    ]),
    [],
  );
});

await t.test('in the order of the ranges, each chunk once', async (test) => {
  test.same(
    await chunks([
      [8, 1],
      [1, 1],
      [0, 2],
      [8, 2],
    ]),
    ['bottom 8-8', 'bottom 1-1', 'bottom 0-0', 'bottom 9-9'],
  );
});

await t.test('parts of sectors', async (test) => {
  const at = 6 * CHUNK_SIZE;
  const entries = await chunksOfRanges([{ offset: at - 1, length: 2 }], DISK, EVERYTHING);
  test.same(entries, [
    { digest: 'bottom', first: 5, last: 5 },
    { digest: 'top', first: 20, last: 20 },
  ]);
});

await t.test('the end of a layer, and of what is allowed', async (test) => {
  const short: DiskSpec = { ...DISK, layers: [cached('bottom', 8), ...LAYERS.slice(1)] };
  test.same(await chunks([[7, 3]], short), ['bottom 7-7']);
  test.same(await chunks([[0, 16]], DISK, 3 * CHUNK_SIZE), ['bottom 0-1', 'bottom 3-3']);
});

await t.test('layers that are made of pieces', async (test) => {
  // Two pieces of a chunk each in member 0, zeros, and a piece in member 1.
  const table = {
    count: 4,
    size: 4 * CHUNK_SIZE,
    positions: Float64Array.from([0, 1, 2, 3], (chunk) => chunk * CHUNK_SIZE),
    lengths: new Uint32Array(4).fill(CHUNK_SIZE),
    members: Uint32Array.of(0, 0, NO_MEMBER, 1),
    begins: Float64Array.of(5 * CHUNK_SIZE, 8 * CHUNK_SIZE + 1),
    stored: Uint32Array.of(CHUNK_SIZE, CHUNK_SIZE),
  };
  const pieces = { kind: 'pieces', table, of: cached('target', 50) } as unknown as SourceSpec;
  const index = indexOf([[0, 16 * CHUNK, 0, 0]], 16 * CHUNK_SIZE);
  const disk: DiskSpec = { kind: 'lsmt', index: index.data, layers: [pieces] };
  test.same(await chunks([[1, 1]], disk), ['target 5-5']);
  test.same(await chunks([[2, 1]], disk), []);
  test.same(await chunks([[0, 9]], disk), ['target 5-5', 'target 8-9']);
});

await t.test('raw disks and partitions', async (test) => {
  const raw: DiskSpec = { kind: 'raw', source: cached('raw', 9) };
  test.same(
    await chunks(
      [
        [3, 2],
        [8, 5],
      ],
      raw,
    ),
    ['raw 3-4', 'raw 8-8'],
  );
  const part: DiskSpec = { kind: 'partition', disk: DISK, offset: 6 * CHUNK_SIZE, size: 2 ** 20 };
  test.same(await chunks([[0, 2]], part), ['top 20-20', 'bottom 7-7']);
});
