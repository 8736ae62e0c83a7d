// Layers of registries that are compared with their digests before they are opened.
import { createHash } from 'node:crypto';
import { test } from 'tap';
import { ChunkMap } from '../../../daemon/blob/chunk-map.js';
import { readFully } from '../../../daemon/blob/source.js';
import type { Unwrapped } from '../../../daemon/image/format.js';
import { ReaderFactory } from '../../../daemon/image/reader-factory.js';
import { verifiedBlob } from '../../../daemon/image/verified-blob.js';
import { UNBOUNDED } from '../../../daemon/lib/effort.js';
import { MemorySource } from '../../support/memory-source.js';
import { randomBytes } from '../../support/pattern.js';

const right = randomBytes(1, 300_000);
const wrong = randomBytes(2, 300_000);
const digest = `sha256:${createHash('sha256').update(right).digest('hex')}`;

class FakeReaders extends ReaderFactory {
  readonly kept: number[] = [];
  readonly dropped: number[][] = [];
  readonly #answers: Buffer[];

  /** @param answers what each reading of the blob gives */
  constructor(...answers: Buffer[]) {
    super(() => ({
      want: () => Promise.resolve(),
      hint: () => undefined,
      refetch: () => Promise.resolve(),
      setDigests: (blob) => Promise.resolve(void this.kept.push(blob)),
      drop: (...range) => void this.dropped.push(range),
    }));
    this.#answers = answers;
  }

  override source(): MemorySource {
    return new MemorySource(this.#answers.shift() as Buffer);
  }
}

function innerOf(spec: Unwrapped['spec']): Unwrapped {
  return { spec, source: new MemorySource(wrong), tar: null, zfile: null };
}

const { state } = ChunkMap.create(right.length);
const about = { name: 'blob', digest, size: right.length, blob: 7, fd: -1, slotsFd: -1, state };
const cached = innerOf({ kind: 'cached', ...about });

await test('right bytes, at once or when they are fetched again', async (t) => {
  for (const answers of [[right], [wrong, right]]) {
    const readers = new FakeReaders(...answers);
    const opened = await verifiedBlob(cached, digest, { readers, effort: UNBOUNDED });
    // Not the bytes that were in memory before.
    t.ok((await readFully(opened.source, 0, right.length)).equals(right));
    t.same(readers.kept, [7], 'what comes later must be the same');
    t.same(readers.dropped, []);
  }
});

await test('wrong bytes are asked for twice, and not kept', async (t) => {
  const readers = new FakeReaders(wrong, wrong);
  await t.rejects(verifiedBlob(cached, digest, { readers, effort: UNBOUNDED }), {
    code: 'BAD_CHECKSUM',
    message: new RegExp(`: expected digest ${digest}, got sha256:\\w+ \\(300000 bytes\\)$`),
  });
  t.same(readers.kept, []);
  t.same(readers.dropped, [[7, 0, 4]]);
});

await test('a file of this machine is not read', async (t) => {
  const file = innerOf({ kind: 'file', name: 'blob', fd: -1, base: 0, size: wrong.length });
  const readers = new FakeReaders();
  t.equal(await verifiedBlob(file, digest, { readers, effort: UNBOUNDED }), file);
});
