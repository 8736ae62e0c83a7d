// From paths to chunks: the metadata of a disk is read, and the data of its files is looked up in its layers.
import t from 'tap';
import type { CachedSpec, ChunkFetcher } from '../../../../daemon/blob/cached-source.js';
import { CHUNK_SIZE, ChunkMap } from '../../../../daemon/blob/chunk-map.js';
import { OverlaybdError } from '../../../../daemon/errors.js';
import { chunksOfPaths, type ListedChunks } from '../../../../daemon/image/chunks/listed-files.js';
import type { DiskSpec } from '../../../../daemon/image/disks/spec.js';
import { SECTOR } from '../../../../daemon/lsmt/format.js';
import { BLOCK, Ext4Writer } from '../../../support/ext4-writer.js';
import { indexOf } from '../../../support/segments.js';

const MAX_BYTES = 1 << 30;

/** /bin/a in blocks 128 to 199, /bin/b in 200; what metadata there is, is before them. */
const fs = new Ext4Writer();
fs.directory(2, 100, { '..': 2, bin: 11 });
fs.directory(11, 101, { '..': 2, a: 12, b: 13 });
fs.file(12, 128, 72);
fs.file(13, 200, 1);

const memory = new SharedArrayBuffer(fs.bytes.length);
new Uint8Array(memory).set(fs.bytes);
const size = fs.bytes.length;
const BLOB: CachedSpec = {
  kind: 'cached',
  name: 'layer',
  digest: 'D',
  size,
  blob: 7,
  fd: -1,
  slotsFd: -1,
  state: ChunkMap.create(size).state,
};

const sectors = (block: number): number => (block * BLOCK) / SECTOR;
const chunk = (block: number): number => Math.floor((block * BLOCK) / CHUNK_SIZE);

/** Metadata in memory, data in a blob of a registry that has nothing here. @param at the first block of the blob */
function diskFrom(at: number): DiskSpec {
  const all = sectors(size / BLOCK);
  const index = indexOf(
    [
      [0, all, 0, 0],
      [sectors(at), all - sectors(at), sectors(at), 1],
    ],
    size,
  );
  const layers = [{ kind: 'memory' as const, name: 'metadata', memory }, BLOB];
  return { kind: 'lsmt', index: index.data, layers };
}

const asked: number[][] = [];
const fetcher: ChunkFetcher = {
  want: (...range) => {
    asked.push(range);
    return Promise.reject(new OverlaybdError('REMOTE', 'nothing comes'));
  },
  refetch: () => Promise.resolve(),
  hint: () => undefined,
  drop: () => undefined,
};

function listed(
  paths: readonly string[],
  disk: DiskSpec,
  signal = new AbortController().signal,
): Promise<ListedChunks> {
  return chunksOfPaths(paths, disk, { fetcher, maxBytes: MAX_BYTES, signal });
}

await t.test('chunks of the data, and counts', async (test) => {
  const found = await listed(['/bin/b', 'bin/*', 'x'], diskFrom(128));
  test.same(found, {
    entries: [
      { digest: 'D', first: chunk(200), last: chunk(200) },
      { digest: 'D', first: chunk(128), last: chunk(199) - 1 },
    ],
    missing: 1,
    damaged: 0,
    damage: null,
  });
  test.same([chunk(128), chunk(199)], [2, 3], 'the last chunk is in the list already');
  test.same(asked, []);
});

await t.test('metadata is fetched, and an error of that ends it', async (test) => {
  await test.rejects(listed(['/bin/b'], diskFrom(0)), { code: 'REMOTE', message: 'nothing comes' });
  test.same(asked, [[7, 0, 0]]);
});

await t.test('what is not ext4', async (test) => {
  const zeros = new SharedArrayBuffer(1 << 20);
  const disk: DiskSpec = { kind: 'raw', source: { kind: 'memory', name: 'zeros', memory: zeros } };
  const message = 'a list of paths is replayed for ext4 only, and this disk is not ext4';
  await test.rejects(listed(['/a'], disk), { code: 'UNSUPPORTED', message });
});

await t.test('nothing of a closed image is read', async (test) => {
  const closed = AbortSignal.abort();
  await test.rejects(listed(['/bin/b'], diskFrom(128), closed), { code: 'BUSY' });
});
