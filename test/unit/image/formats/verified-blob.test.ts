// Layers of registries that are compared with their digests before they are opened.
import { createHash } from 'node:crypto';
import { test } from 'tap';
import type { CachedSpec } from '../../../../daemon/blob/cached-source.js';
import { ChunkMap } from '../../../../daemon/blob/chunk-map.js';
import { ReaderFactory } from '../../../../daemon/image/disks/reader-factory.js';
import { verifyBlob } from '../../../../daemon/image/formats/verified-blob.js';
import { UNBOUNDED } from '../../../../daemon/lib/effort.js';
import { MemorySource } from '../../../support/memory-source.js';
import { randomBytes } from '../../../support/pattern.js';

const right = randomBytes(1, 300_000);
const wrong = randomBytes(2, 300_000);
const digest = `sha256:${createHash('sha256').update(right).digest('hex')}`;

class FakeReaders extends ReaderFactory {
  readonly kept: number[] = [];
  readonly dropped: number[][] = [];
  readonly answers: Buffer[];

  /** @param answers what each reading of the blob gives */
  constructor(...answers: Buffer[]) {
    super(() => ({
      want: () => Promise.resolve(),
      hint: () => undefined,
      refetch: () => Promise.resolve(),
      setDigests: (blob) => Promise.resolve(void this.kept.push(blob)),
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
    await verifyBlob(cachedSpec(), digest, { readers, effort: UNBOUNDED });
    t.same(readers.kept, [7], 'what comes later must be the same');
    t.same(readers.dropped, []);
    t.equal(readers.answers.length, 0);
  }
});

await test('wrong bytes are asked for twice, and not kept', async (t) => {
  const readers = new FakeReaders(wrong, wrong);
  await t.rejects(verifyBlob(cachedSpec(), digest, { readers, effort: UNBOUNDED }), {
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
  await verifyBlob(cached, digest, { readers, effort: UNBOUNDED });
  t.equal(readers.answers.length, 1);
});
