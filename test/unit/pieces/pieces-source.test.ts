// A source of pieces: digests, one decoding for all readers, bytes that are fetched again. The contract suite has the rest.
import { test } from 'tap';
import type { BlobSource } from '../../../daemon/blob/source.js';
import { loadAround, ReaderFactory } from '../../../daemon/image/disks/reader-factory.js';
import { MAX_WAITS, readLoaded } from '../../../daemon/lib/loaded.js';
import { DecodedCache } from '../../../daemon/pieces/decoded-cache.js';
import {
  MAX_DECODED_HERE,
  MAX_MEMBERS_A_CALL,
  PARALLEL_MEMBERS,
} from '../../../daemon/pieces/limits.js';
import { PieceTableBuilder } from '../../../daemon/pieces/piece-table.js';
import { PiecesSource, type PieceTools } from '../../../daemon/pieces/pieces-source.js';
import {
  newPlaces,
  newSharedMembers,
  SharedMembers,
  type SharedMembersData,
  type SharedPlaces,
} from '../../../daemon/pieces/shared-members.js';
import { MemorySource } from '../../support/memory-source.js';
import { textBytes } from '../../support/pattern.js';
import { writePieces } from '../../support/piece-writer.js';

await loadAround();

const plain = textBytes(7, 100_000);
const { blob, around } = writePieces(plain, { codec: 'gzip', pieceSize: 10_000, perMember: 2 });
const readers = new ReaderFactory();

/** Of a new thread. */
function newTools(): PieceTools {
  return {
    cache: new DecodedCache(),
    zstd: () => readers.zstdDecoders(),
    lz4: () => readers.decoder('lz4'),
  };
}

function refuse(): never {
  throw new Error('decoded by the thread');
}

function sourceOf(stored: BlobSource, tools = newTools()): PiecesSource {
  return new PiecesSource(around, stored, tools);
}

async function read(source: BlobSource, offset: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  await readLoaded(source, offset, length, () => source.read(offset, length, bytes, 0));
  return bytes;
}

/** Has other bytes until it was told not to trust them. */
class Damaged extends MemorySource {
  readonly #good: Buffer;
  distrusted = 0;
  constructor(bad: Buffer, good: Buffer) {
    super(bad);
    this.#good = good;
  }
  distrust(): boolean {
    this.distrusted++;
    return true;
  }
  override read(offset: number, length: number, dst: Uint8Array, at: number): boolean {
    if (this.distrusted === 0) return super.read(offset, length, dst, at);
    dst.set(this.#good.subarray(offset, offset + length), at);
    return true;
  }
}

await test('a member is decoded once for all that read it', async (t) => {
  const stored = new MemorySource(blob);
  const source = sourceOf(stored);
  const offsets = Array.from({ length: 50 }, (_, i) => i * 300);
  const all = await Promise.all(offsets.map((offset) => read(source, offset, 4096)));
  t.ok(all.every((bytes, i) => bytes.equals(plain.subarray(i * 300, i * 300 + 4096))));
  t.equal(stored.reads.length, 1);
  t.same(await read(source, 0, plain.length), plain);
  t.equal(stored.reads.length, 5);
});

/** The blob with a member whose second piece is other bytes. */
function withBadPiece(): Buffer {
  const other = Buffer.from(plain);
  other[15_000] = (other[15_000] as number) ^ 1;
  const written = writePieces(other, { codec: 'gzip', pieceSize: 10_000, perMember: 2 });
  return Buffer.concat([written.blob.subarray(0, around.table.begins[1])]);
}

await test('a piece with a wrong digest is an error, its neighbour is not', async (t) => {
  const bad = withBadPiece();
  const size = around.table.begins[1] as number;
  const filled = Buffer.concat([bad, blob.subarray(size)]);
  // Both members may have other lengths: then this is no test.
  t.equal(filled.length, blob.length);
  const source = sourceOf(new MemorySource(filled));
  t.same(await read(source, 0, 10_000), plain.subarray(0, 10_000));
  const error = {
    code: 'BAD_CHECKSUM',
    message:
      /^pieces: piece 1 at byte 0: expected the digest sha256:[0-9a-f]{64}, got sha256:[0-9a-f]{64}$/,
  };
  await t.rejects(read(source, 9000, 4096), error);
  await t.rejects(read(source, 15_000, 1), error);
  t.same(await read(source, 0, 10_000), plain.subarray(0, 10_000));
  t.same(await read(source, 20_000, 80_000), plain.subarray(20_000));
});

await test('bytes that cannot be decoded are an error', async (t) => {
  const bad = Buffer.from(blob);
  bad.fill(0xff, 12, 200);
  const source = sourceOf(new MemorySource(bad));
  await t.rejects(read(source, 100, 100), {
    code: 'BAD_DATA',
    message: /^pieces: piece 0 at byte 0: expected a gzip member/,
  });
  t.same(await read(source, 20_000, 80_000), plain.subarray(20_000));
});

for (const [name, from, to] of [
  ['that cannot be decoded', 12, 200],
  ['with a wrong digest', 0, 0],
] as const) {
  await test(`bytes of a cache ${name} are fetched again`, async (t) => {
    const bad = to > 0 ? Buffer.from(blob) : Buffer.concat([withBadPiece(), blob]);
    if (to > 0) bad.fill(0xff, from, to);
    const stored = new Damaged(bad.subarray(0, blob.length), blob);
    const source = sourceOf(stored);
    t.same(await read(source, 10_000, 10_000), plain.subarray(10_000, 20_000));
    t.equal(stored.distrusted, 1);
  });
}

/** A source of another thread: it has the same places and the same memory. */
function sharingSource(
  stored: BlobSource,
  shared: SharedPlaces,
  data: SharedMembersData,
): PiecesSource {
  const cache = new DecodedCache(new SharedMembers(data, { patienceMs: 120_000 }));
  return new PiecesSource({ ...around, shared }, stored, {
    ...readers.pieceTools(),
    cache,
  });
}

await test('long frames and blocks are not decoded by the thread itself', async (t) => {
  const long = textBytes(8, MAX_DECODED_HERE + 1);
  for (const codec of ['zstd', 'lz4'] as const) {
    const written = writePieces(long, { codec, pieceSize: long.length });
    const tools = { ...newTools(), zstd: refuse, lz4: refuse };
    const stored = new MemorySource(written.blob);
    const bytes = await read(new PiecesSource(written.around, stored, tools), 0, long.length);
    t.ok(bytes.equals(long), codec);
    const short = writePieces(long, { codec, pieceSize: MAX_DECODED_HERE });
    const source = new PiecesSource(short.around, new MemorySource(short.blob), tools);
    await t.rejects(read(source, 0, 1), { message: 'decoded by the thread' });
  }
});

await test('what one thread has decoded, others read; two that need it decode it once', async (t) => {
  const data = newSharedMembers();
  const shared = newPlaces(around.table.begins.length);
  const stored = new MemorySource(blob);
  const [one, two] = [sharingSource(stored, shared, data), sharingSource(stored, shared, data)];
  const all = await Promise.all([one, two, one, two].map((each) => read(each, 100, 50)));
  t.ok(all.every((bytes) => bytes.equals(plain.subarray(100, 150))));
  t.equal(stored.reads.length, 1);
  t.same(await read(one, 0, plain.length), plain);
  t.equal(stored.reads.length, 5);
  t.same(await read(two, 0, plain.length), plain);
  t.equal(stored.reads.length, 5);
});

await test('a member with a bad piece is not shared, and both threads say so', async (t) => {
  const data = newSharedMembers();
  const shared = newPlaces(around.table.begins.length);
  const bad = withBadPiece();
  const stored = new MemorySource(Buffer.concat([bad, blob.subarray(bad.length)]));
  const [one, two] = [sharingSource(stored, shared, data), sharingSource(stored, shared, data)];
  for (const each of [one, two]) {
    t.same(await read(each, 0, 10_000), plain.subarray(0, 10_000));
    await t.rejects(read(each, 15_000, 1), { code: 'BAD_CHECKSUM' });
  }
  t.equal(stored.reads.length, 2);
});

await test('a thread that fails does not keep the others waiting', async (t) => {
  const data = newSharedMembers();
  const shared = newPlaces(around.table.begins.length);
  const bytes = Buffer.from(blob);
  bytes.fill(0xff, 12, 200);
  const one = sharingSource(new MemorySource(bytes), shared, data);
  const two = sharingSource(new MemorySource(blob), shared, data);
  const failed = t.rejects(read(one, 0, 100), { code: 'BAD_DATA' });
  t.same(await read(two, 0, 100), plain.subarray(0, 100));
  await failed;
});

await test('while the shared memory cannot be written, a thread keeps its members for itself', async (t) => {
  const data = newSharedMembers();
  data.control[1] = 1;
  const shared = newPlaces(around.table.begins.length);
  const stored = new MemorySource(blob);
  const [one, two] = [sharingSource(stored, shared, data), sharingSource(stored, shared, data)];
  for (const each of [one, two]) {
    t.same(await read(each, 0, plain.length), plain);
    t.same(await read(each, 0, plain.length), plain);
  }
  t.equal(stored.reads.length, 10);
});

await test('a source of pieces around another one of the same thread', async (t) => {
  const tools = newTools();
  const twice = writePieces(blob, { codec: 'stored', pieceSize: 7000 });
  const stored = new PiecesSource(twice.around, new MemorySource(twice.blob), tools);
  t.same(await read(sourceOf(stored, tools), 0, plain.length), plain);
});

await test('a blob that does not answer keeps no other blob from being decoded', async (t) => {
  const tools = newTools();
  class Silent extends MemorySource {
    asked = 0;
    override read(): boolean {
      return false;
    }
    override load(): Promise<void> {
      this.asked++;
      return new Promise(() => undefined);
    }
  }
  const stored = new Silent(blob);
  const silent = sourceOf(stored, tools);
  void silent.load(0, plain.length);
  t.same(await read(sourceOf(new MemorySource(blob), tools), 0, plain.length), plain);
  t.equal(stored.asked, PARALLEL_MEMBERS, 'further ones wait: memory is bounded');
});

await test('a read decodes a bounded number of members, however many it needs', async (t) => {
  const bytes = textBytes(8, 100_000);
  const written = writePieces(bytes, { codec: 'stored', pieceSize: 1, digests: false });
  const stored = new MemorySource(written.blob);
  const source = new PiecesSource(written.around, stored, newTools());
  await source.load(0, bytes.length);
  t.equal(stored.reads.length, MAX_MEMBERS_A_CALL);
  await t.rejects(read(source, 0, bytes.length), { code: 'IO' });
  t.equal(stored.reads.length, (1 + MAX_WAITS) * MAX_MEMBERS_A_CALL);
  t.same(await read(source, 50_000, 4096), bytes.subarray(50_000, 54_096));
});

await test('a read waits for a bounded number of fetches', async (t) => {
  class Remote extends MemorySource {
    override readonly isLocal = false;
    fetched = 0;
    override ensure(): null {
      this.fetched++;
      return Promise.resolve() as never;
    }
  }
  // No two members follow each other.
  const builder = new PieceTableBuilder('blob');
  for (let i = 0; i < 2000; i++) {
    builder.addStored({
      codec: 'stored',
      begin: 2 * i,
      inner: 0,
      length: 1,
      digest: null,
      stored: 1,
    });
  }
  const table = builder.finish(4000);
  const stored = new Remote(Buffer.alloc(4000));
  const source = new PiecesSource({ kind: 'pieces', name: 'pieces', table }, stored, newTools());
  await source.ensure(0, 2000);
  t.equal(stored.fetched, MAX_MEMBERS_A_CALL);
});
