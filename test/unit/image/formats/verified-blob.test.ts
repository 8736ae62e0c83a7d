// Layers of registries that are compared with their digests before they are opened.
import { createHash } from 'node:crypto';
import { test } from 'tap';
import type { CachedSpec } from '../../../../daemon/blob/cached-source.js';
import { ChunkDigester, type ChunkDigests } from '../../../../daemon/blob/chunk-digests.js';
import { ChunkMap } from '../../../../daemon/blob/chunk-map.js';
import { ReaderFactory } from '../../../../daemon/image/disks/reader-factory.js';
import type { SourceSpec } from '../../../../daemon/image/disks/spec.js';
import {
  comparedChunks,
  encodeCompared,
  wasCompared,
} from '../../../../daemon/image/formats/layer-record.js';
import { verifyStored } from '../../../../daemon/image/formats/verified-blob.js';
import { UNBOUNDED } from '../../../../daemon/lib/effort.js';
import { MemorySource } from '../../../support/memory-source.js';
import { randomBytes } from '../../../support/pattern.js';

const right = randomBytes(1, 300_000);
const wrong = randomBytes(2, 300_000);
const digest = `sha256:${createHash('sha256').update(right).digest('hex')}`;

class FakeReaders extends ReaderFactory {
  readonly kept: number[] = [];
  readonly generations: (number | null)[] = [];
  comparesChunks = true;
  readonly dropped: number[][] = [];
  readonly answers: Buffer[];

  /** @param answers what each reading of the blob gives */
  constructor(...answers: Buffer[]) {
    const setDigests = (
      blob: number,
      _digests: ChunkDigests,
      generation: number | null,
    ): Promise<void> => {
      this.kept.push(blob);
      this.generations.push(generation);
      return Promise.resolve();
    };
    super(() => ({
      want: () => Promise.resolve(),
      hint: () => undefined,
      refetch: () => Promise.resolve(),
      ...(this.comparesChunks && { setDigests }),
      drop: (...range) => void this.dropped.push(range),
    }));
    this.answers = answers;
  }

  override source(): MemorySource {
    return new MemorySource(this.answers.shift() as Buffer);
  }
}

function cachedSpec(): CachedSpec {
  const { state } = ChunkMap.create(right.length);
  const about = { name: 'blob', digest, size: right.length, blob: 7, fd: -1, slotsFd: -1 };
  return { kind: 'cached', ...about, state };
}

await test('right bytes, at once or when they are fetched again', async (t) => {
  for (const answers of [[right], [wrong, right]]) {
    const readers = new FakeReaders(...answers);
    await verifyStored(cachedSpec(), digest, {}, { readers, effort: UNBOUNDED });
    t.same(readers.kept, [7], 'what comes later must be the same');
    t.same(readers.dropped, []);
    t.equal(readers.answers.length, 0);
  }
});

await test('wrong bytes are asked for twice, and not kept', async (t) => {
  const readers = new FakeReaders(wrong, wrong);
  await t.rejects(verifyStored(cachedSpec(), digest, {}, { readers, effort: UNBOUNDED }), {
    code: 'BAD_CHECKSUM',
    message: new RegExp(`: expected digest ${digest}, got sha256:\\w+ \\(300000 bytes\\)$`),
  });
  t.same(readers.kept, []);
  t.same(readers.dropped, [[7, 0, 4]]);
});

await test('a blob that the cache has compared as a whole is not read again', async (t) => {
  const cached = cachedSpec();
  new ChunkMap(cached.state, cached.size).setComplete(true);
  const readers = new FakeReaders(right);
  await verifyStored(cached, digest, {}, { readers, effort: UNBOUNDED });
  t.equal(readers.answers.length, 1);
});

await test('a record of the comparison takes its place', async (t) => {
  const folder = t.testdir();
  const records = { folder, limit: null };
  const digits = digest.slice('sha256:'.length);
  const rules = { recordKey: () => Promise.resolve({ kind: 'layer', digits } as const) };
  const verify = async (readers: FakeReaders, expected = digest): Promise<number> => {
    await verifyStored(cachedSpec(), expected, rules, { readers, effort: UNBOUNDED, records });
    return readers.answers.length;
  };
  t.equal(await verify(new FakeReaders(right)), 0, 'read once');
  const again = new FakeReaders(right);
  t.equal(await verify(again), 1, 'not read');
  t.same(again.kept, [7], 'each chunk is compared');
  t.same(again.generations, [null], 'also what is there');
  // Another digest is another blob.
  const other = `sha256:${createHash('sha256').update(wrong).digest('hex')}`;
  t.equal(await verify(new FakeReaders(wrong), other), 0);
  const anew = new FakeReaders(right);
  const tools = { readers: anew, effort: UNBOUNDED };
  await verifyStored(cachedSpec(), digest, rules, {
    ...tools,
    records: { ...records, isAnew: true },
  });
  t.equal(anew.answers.length, 0, 'verify reads it');
  // A fetcher that compares no chunks.
  const bare = new FakeReaders(right);
  bare.comparesChunks = false;
  t.equal(await verify(bare), 0);
});

await test('a layer of a layout, once: a record says that it was compared', async (t) => {
  const file = { kind: 'file', name: 'blob', fd: -1, base: 0, size: right.length } as const;
  const key = { kind: 'file', digits: 'a'.repeat(64) } as const;
  const rules = { recordKey: () => Promise.resolve(key) };
  const records = { folder: t.testdir(), limit: null };
  const verify = (readers: FakeReaders, expected = digest): Promise<void> =>
    verifyStored(file, expected, rules, { readers, effort: UNBOUNDED, records });
  const bad = new FakeReaders(wrong);
  await t.rejects(verify(bad), {
    code: 'BAD_CHECKSUM',
    message: new RegExp(`: expected digest ${digest}, got sha256:\\w+ \\(300000 bytes\\)$`),
  });
  t.same(bad.dropped, [], 'no cache has it');
  await verify(new FakeReaders(right));
  // Its name says that it is the same file: the bytes are not read again.
  await verify(new FakeReaders(wrong));
  const other = `sha256:${createHash('sha256').update(wrong).digest('hex')}`;
  await t.rejects(verify(new FakeReaders(right), other), { code: 'BAD_CHECKSUM' });
});

await test('a file is hashed once: no chunk of it is fetched again', async (t) => {
  let bytes = 0;
  const update = Reflect.get(ChunkDigester.prototype, 'update');
  ChunkDigester.prototype.update = function (more) {
    bytes += more.length;
    return update.call(this, more);
  };
  t.teardown(() => (ChunkDigester.prototype.update = update));
  const verify = async (spec: SourceSpec): Promise<number> => {
    bytes = 0;
    const readers = new FakeReaders(right);
    await verifyStored(spec, digest, {}, { readers, effort: UNBOUNDED });
    return bytes;
  };
  t.equal(await verify(cachedSpec()), right.length);
  t.equal(await verify({ kind: 'file', name: 'blob', fd: -1, base: 0, size: right.length }), 0);
  const content = encodeCompared(right.length, digest, null);
  t.equal(wasCompared(content, right.length, digest, 'blob'), true);
  t.equal(wasCompared(content, right.length + 1, digest, 'blob'), false);
  t.equal(wasCompared(content, right.length, `sha256:${'0'.repeat(64)}`, 'blob'), false);
  t.equal(wasCompared(content.subarray(0, -8), right.length, digest, 'blob'), false);
  t.equal(comparedChunks(content, right.length, digest, 'blob'), null);
});

await test('a record that is damaged, or of something else, is none', async (t) => {
  const chunks = new ChunkDigester(right.length);
  chunks.update(right);
  const content = encodeCompared(right.length, digest, chunks.digests);
  const read = (bytes: Buffer, size = right.length, of = digest): ChunkDigests | null =>
    comparedChunks(bytes, size, of, 'blob');
  t.ok(read(content)?.equals(chunks.digests));
  t.equal(read(content, right.length + 1), null);
  t.equal(read(content, right.length, `sha256:${'0'.repeat(64)}`), null);
  for (let cut = 8; cut < content.length; cut += 8) {
    t.equal(read(Buffer.from(content.subarray(0, cut))), null);
  }
});
