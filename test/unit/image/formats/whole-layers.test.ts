// Archives that are read as a whole: their bytes, and what they unpack to, must have the digests that the image has of them.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { compress } from 'zstd-napi';
import { test } from 'tap';
import { ChunkMap } from '../../../../daemon/blob/chunk-map.js';
import { readFully } from '../../../../daemon/blob/source.js';
import type { RecordKey } from '../../../../daemon/cache/record-files.js';
import { loadAround, ReaderFactory } from '../../../../daemon/image/disks/reader-factory.js';
import { PiecesSource } from '../../../../daemon/pieces/pieces-source.js';
import { streamedFrame } from '../../../support/long-frame.js';
import { wholeNotes } from '../../../../daemon/image/stack/open-stack.js';
import { humanSize } from '../../../../daemon/lib/format-size.js';
import { LayerRecords } from '../../../../daemon/cache/layer-records.js';
import { ImageEffort, TooLargeHere } from '../../../../daemon/opener/effort.js';
import type { Unwrapped } from '../../../../daemon/image/formats/format.js';
import { openWholeLayer, type WholeFormat } from '../../../../daemon/image/formats/whole-layers.js';
import { UNBOUNDED, type Effort } from '../../../../daemon/lib/effort.js';
import type { LayerDigests } from '../../../../daemon/registry/manifest-source.js';
import { MemorySource } from '../../../support/memory-source.js';
import { randomBytes } from '../../../support/pattern.js';
import { writeUstar } from '../../../support/ustar.js';

const tar = writeUstar([{ name: 'file', bytes: randomBytes(1, 2_000_000) }]);
const FORMS: [format: WholeFormat, bytes: Buffer][] = [
  ['tar', tar],
  ['tar.gz', gzipSync(tar)],
  ['tar.zst', compress(tar)],
];

const digestOf = (bytes: Buffer): string =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** A blob as a registry has it; it reads `bytes` instead of what a cache would have. */
class FakeReaders extends ReaderFactory {
  readonly dropped: [number, number, number][] = [];
  readonly bytes: Buffer;
  /** What comes if it is fetched again. */
  again: Buffer;
  sources = 0;

  constructor(bytes: Buffer, again = bytes) {
    super(() => ({
      want: () => Promise.resolve(),
      hint: () => undefined,
      refetch: () => Promise.resolve(),
      drop: (...range) => void this.dropped.push(range),
    }));
    this.bytes = bytes;
    this.again = again;
  }

  override source(): MemorySource {
    const source = new MemorySource(this.bytes);
    if (this.sources++ === 0) return source;
    const distrust = (): boolean => {
      source.bytes = this.again;
      return true;
    };
    return Object.assign(source, { distrust });
  }

  get inner(): Unwrapped {
    const { length: size } = this.bytes;
    const { state } = ChunkMap.create(size);
    const about = { name: 'blob', digest: '', size, blob: 7, fd: -1, slotsFd: -1, state };
    return {
      spec: { kind: 'cached', ...about },
      source: new MemorySource(this.bytes),
      tar: null,
      zfile: null,
    };
  }
}

for (const [format, bytes] of FORMS) {
  await test(`${format} in a file: all of its bytes are compared if an image has their digest`, async (t) => {
    const file = { kind: 'file', name: 'blob', fd: -1, base: 0, size: bytes.length } as const;
    const wrong = Buffer.from(bytes);
    wrong[wrong.length >>> 1] = (wrong[wrong.length >>> 1] as number) ^ 1;
    const open = (stored: Buffer, digests: LayerDigests | null): Promise<unknown> => {
      const readers = new FakeReaders(stored);
      const inner = { spec: file, source: new MemorySource(stored), tar: null, zfile: null };
      return openWholeLayer(format, inner, { digests }, tools(readers));
    };
    for (const digests of [
      { blob: digestOf(bytes), plain: null },
      { blob: digestOf(bytes), plain: digestOf(tar) },
      // An archive of `docker save` has no other.
      { blob: null, plain: digestOf(tar) },
    ]) {
      await open(bytes, digests);
      await t.rejects(open(wrong, digests), { message: /digest|blob/ });
    }
    const other = { blob: digestOf(bytes), plain: digestOf(Buffer.from('other')) };
    await t.rejects(open(bytes, other), { code: 'BAD_CHECKSUM' });
  });
}

for (const [format, bytes] of FORMS) {
  await test(`${format}: with the right digests`, async (t) => {
    const readers = new FakeReaders(bytes);
    const digests = { blob: digestOf(bytes), plain: digestOf(tar) };
    const content = await openWholeLayer(format, readers.inner, { digests }, tools(readers));
    t.equal(content.format, format);
    t.equal(content.tree.count, 1);
    t.equal(content.around === null, format === 'tar');
    t.same(readers.dropped, []);
  });

  await test(`${format}: a wrong blob is fetched once more, and then refused and dropped`, async (t) => {
    const digests = { blob: digestOf(bytes), plain: null };
    const wrong = Buffer.from(bytes);
    wrong[wrong.length >>> 1] = (wrong[wrong.length >>> 1] as number) ^ 1;
    const mended = new FakeReaders(wrong, bytes);
    const content = await openWholeLayer(format, mended.inner, { digests }, tools(mended));
    t.equal(content.tree.count, 1);
    t.equal(mended.sources, 2);
    const bad = new FakeReaders(wrong);
    await t.rejects(openWholeLayer(format, bad.inner, { digests }, tools(bad)), {
      code: 'BAD_CHECKSUM',
      message: `blob: expected digest ${digests.blob}, got ${digestOf(wrong)} (${bytes.length} bytes)`,
    });
    t.same(bad.dropped, [[7, 0, Math.ceil(bytes.length / 65_536) - 1]]);
  });

  await test(`${format}: other plain bytes than the configuration says`, async (t) => {
    const readers = new FakeReaders(bytes);
    const digests = { blob: digestOf(bytes), plain: digestOf(Buffer.from('other')) };
    await t.rejects(openWholeLayer(format, readers.inner, { digests }, tools(readers)), {
      code: 'BAD_CHECKSUM',
      message: `blob: it unpacks to bytes with the digest ${digestOf(tar)}, and the configuration of the image says ${digests.plain}`,
    });
    t.same(readers.dropped, [], 'the blob is right');
  });
}

await test('a blob that is broken itself is refused for what is wrong with it', async (t) => {
  const bytes = gzipSync(tar).subarray(0, -100);
  const readers = new FakeReaders(bytes);
  const digests = { blob: digestOf(bytes), plain: digestOf(tar) };
  await t.rejects(openWholeLayer('tar.gz', readers.inner, { digests }, tools(readers)), {
    code: 'BAD_DATA',
    message: /expected a whole gzip member, got the end of the blob/,
  });
  t.equal(readers.sources, 1, 'and not fetched again');
});

await test('an archive within a wrapper has no digest of its own', async (t) => {
  const readers = new FakeReaders(gzipSync(tar));
  const inner = { ...readers.inner, tar: { offset: 512, size: 10 } as Unwrapped['tar'] };
  const digests = { blob: digestOf(tar), plain: null };
  await t.rejects(openWholeLayer('tar.gz', inner, { digests }, tools(readers)), {
    code: 'UNSUPPORTED',
    message: /whose digest cannot be checked/,
  });
});

await test('the effort is told first, and may leave it to another thread', async (t) => {
  const readers = new FakeReaders(gzipSync(tar));
  const effort = { ...UNBOUNDED, whole: refuse };
  const opening = openWholeLayer(
    'tar.gz',
    readers.inner,
    { digests: null },
    tools(readers, effort),
  );
  await t.rejects(opening, TooLargeHere);
});

await test('what had to be read as a whole is told, unless there was a record of it', async (t) => {
  const folder = join(t.testdir(), 'cache');
  const bytes = gzipSync(tar);
  const digests = { blob: digestOf(bytes), plain: digestOf(tar) };
  const key = { kind: 'layer', digits: 'b'.repeat(64) } as const;
  const rules = { digests, recordKey: () => Promise.resolve(key) };
  const notes: string[][] = [];
  for (let opening = 0; opening < 2; opening++) {
    const readers = new FakeReaders(bytes);
    const used = { ...tools(readers), records: { folder, limit: null } };
    const content = await openWholeLayer('tar.gz', readers.inner, rules, used);
    // The image has the layer twice, and one of another kind.
    const raw = { kind: 'raw', doubts: [], about: null } as const;
    notes.push(wholeNotes([{ content }, { content }, { content: raw }], 'image'));
  }
  const size = humanSize(bytes.length);
  t.same(notes, [[`image: 1 layer of 3 was read as a whole to open it: ${size}`], []]);
});

await test('a large record is left to another thread before it is read', async (t) => {
  const folder = join(t.testdir(), 'cache');
  const key = { kind: 'file', digits: 'a'.repeat(64) } as const;
  await new LayerRecords({ folder, limit: null }).put(key, Buffer.alloc(5 << 20));
  const [path = ''] = readdirSync(join(folder, 'v1/layers')).map((n) =>
    join(folder, 'v1/layers', n),
  );
  writeFileSync(path, 'damaged', { flag: 'r+' });
  const readers = new FakeReaders(gzipSync(tar));
  const effort = new ImageEffort(true);
  const rules = { digests: null, recordKey: () => Promise.resolve(key) };
  const used = { ...tools(readers, effort), records: { folder, limit: null } };
  const opening = openWholeLayer('tar.gz', readers.inner, rules, used);
  const error: unknown = await opening.catch((reason: unknown) => reason);
  t.ok(error instanceof TooLargeHere);
  // If it was read, it was found to be damaged, and the layer had to be read as a whole.
  t.equal((error as TooLargeHere).isWhole, false);
});

const FRAME_PARTS = [
  writeUstar([
    { name: 'file', bytes: Buffer.concat([randomBytes(2, 3_000_000), Buffer.alloc(66 << 20)]) },
  ]),
];
const longFrame = streamedFrame(FRAME_PARTS);
const longDigests = { blob: digestOf(longFrame), plain: digestOf(Buffer.concat(FRAME_PARTS)) };

await test('a frame of more than 64 MiB is decoded into a copy, and read from there', async (t) => {
  const [plain = Buffer.alloc(0)] = FRAME_PARTS;
  const folder = t.testdir();
  for (const kind of ['layer', 'file'] as const) {
    const readers = new FakeReaders(longFrame);
    const asked: boolean[] = [];
    const recordKey = (ofSmall: boolean): Promise<RecordKey> => {
      asked.push(ofSmall);
      return Promise.resolve({ kind, digits: 'b'.repeat(64) });
    };
    const whole: number[] = [];
    const effort = { ...UNBOUNDED, whole: (bytes: number) => void whole.push(bytes) };
    const used = { ...tools(readers, effort), records: { folder, limit: null } };
    const open = (): ReturnType<typeof openWholeLayer> =>
      openWholeLayer('tar.zst', readers.inner, { digests: longDigests, recordKey }, used);
    const first = await open();
    t.equal(whole.length, 1);
    const path = first.copy ?? '';
    t.equal(path, join(folder, 'v1/layers', `${'b'.repeat(64)}.${kind}.plain`));
    t.ok(statSync(path).blocks * 512 < 5_000_000, 'zeros take no room');
    const again = await open();
    t.equal(whole.length, 1, 'not read again');
    t.match(again, { copy: path, around: { table: { count: 69 } } });
    t.same(asked, [true, true]);
    // The rest is the same for both.
    if (kind === 'layer') continue;
    if (again.around?.kind !== 'pieces') throw new Error('not of pieces');
    const copy = new MemorySource(readFileSync(path));
    await loadAround();
    const source = new PiecesSource(again.around, copy, new ReaderFactory().pieceTools());
    for (const at of [0, 2_990_000, plain.length - 100_000]) {
      t.ok((await readFully(source, at, 50_000)).equals(plain.subarray(at, at + 50_000)));
    }
    rmSync(path);
    t.equal((await open()).copy, path, 'a copy that is gone is made again');
    t.equal(whole.length, 2);
    rmSync(path);
    const anew = { ...used, records: { folder, limit: null, isAnew: true } as const };
    const rules = { digests: longDigests, recordKey };
    t.equal((await openWholeLayer('tar.zst', readers.inner, rules, anew)).copy, path);
  }
});

const ofBlob = (): Promise<RecordKey> => Promise.resolve({ kind: 'layer', digits: 'c'.repeat(64) });

await test('a copy without a place, without room, and of wrong bytes', async (t) => {
  const readers = new FakeReaders(longFrame);
  const open = (
    blob: string | null,
    limit: number | null,
    folder: string | null,
  ): Promise<unknown> => {
    const rules = {
      digests: blob === null ? longDigests : { blob, plain: null },
      recordKey: ofBlob,
    };
    const records = folder === null ? null : { folder, limit };
    return openWholeLayer('tar.zst', readers.inner, rules, { ...tools(readers), records });
  };
  await t.rejects(open(null, null, null), {
    code: 'LIMIT',
    message: /frames of at most 67108864 plain bytes, or a folder of the cache/,
  });
  const folder = t.testdir();
  await t.rejects(open(null, 2_000_000, folder), { code: 'LIMIT', message: /decoded copies in/ });
  await t.rejects(open(digestOf(tar), null, folder), { code: 'BAD_CHECKSUM' });
  t.same(readdirSync(join(folder, 'v1/layers')), [], 'nothing is left');
});

const ofFile = (): Promise<RecordKey> => Promise.resolve({ kind: 'file', digits: 'd'.repeat(64) });

/** Bytes of tables that are counted when an archive is open, or has been refused. */
async function keptBy(
  format: WholeFormat,
  readers: FakeReaders,
  blob: string,
  records: { folder: string; limit: null } | null = null,
): Promise<number> {
  return (await countedBy(format, readers, blob, records)).kept;
}

/** How many bytes are counted in the end, and the most at a time. */
async function countedBy(
  format: WholeFormat,
  readers: FakeReaders,
  blob: string,
  records: { folder: string; limit: null } | null,
): Promise<{ kept: number; most: number }> {
  let kept = 0;
  let most = 0;
  const keep = (bytes: number): void => {
    kept += bytes;
    most = Math.max(most, kept);
  };
  const effort = { ...UNBOUNDED, keep };
  const used = { ...tools(readers, effort), records };
  const rules = { digests: { blob, plain: null }, recordKey: ofBlob };
  await openWholeLayer(format, readers.inner, rules, used).catch(() => null);
  return { kept, most };
}

await test('the table of an archive that is read again is counted once', async (t) => {
  const skipped = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 0]);
  // The time in its header, and a byte that decoders skip.
  const forms: [format: WholeFormat, bytes: Buffer, at: number][] = [
    ['tar.gz', gzipSync(tar), 4],
    ['tar.zst', Buffer.concat([compress(tar), skipped]), -1],
  ];
  for (const [format, bytes, at] of forms) {
    const digest = digestOf(bytes);
    const once = await keptBy(format, new FakeReaders(bytes), digest);
    t.ok(once > 0, `${once} bytes`);
    const other = Buffer.from(bytes);
    other[at < 0 ? other.length + at : at] = 1;
    t.equal(await keptBy(format, new FakeReaders(other, bytes), digest), once, format);
    t.equal(await keptBy(format, new FakeReaders(other), digest), 0, `${format}: refused`);
  }
});

await test('the table that a copy replaces is not counted', async (t) => {
  const [plain = Buffer.alloc(0)] = FRAME_PARTS;
  const frames = Array.from({ length: 2048 }, (_, i) =>
    compress(plain.subarray(i * 1024, (i + 1) * 1024)),
  );
  const bytes = Buffer.concat([...frames, streamedFrame([plain.subarray(2 << 20)])]);
  const records = { folder: t.testdir(), limit: null } as const;
  const digest = digestOf(bytes);
  const read = await keptBy('tar.zst', new FakeReaders(bytes), digest, records);
  t.ok(read > 0);
  const { kept, most } = await countedBy('tar.zst', new FakeReaders(bytes), digest, records);
  const path = join(records.folder, 'v1/layers', `${'c'.repeat(64)}.layer`);
  const record = statSync(path).size;
  // The table is copied out of the record, which stays with the columns of the tree.
  t.ok(kept > record, `${kept} of a record of ${record}`);
  t.ok(kept - read <= record, `by the record: ${kept}, and not ${read}`);
  t.equal(most, 2 * record, 'announced before it is read, and no more after it');
});

await test('the copy of a file has room in the cache before it is written, as that of a blob has', async (t) => {
  const folder = t.testdir();
  const asked: number[] = [];
  let full: string | null = null;
  const readers = new ReaderFactory(() => ({
    want: refuse,
    hint: refuse,
    refetch: refuse,
    drop: refuse,
    makeRoom: (bytes) => {
      asked.push(bytes);
      return Promise.resolve(full);
    },
  }));
  const size = longFrame.length;
  const inner: Unwrapped = {
    spec: { kind: 'file', name: 'file', fd: -1, base: 0, size },
    source: new MemorySource(longFrame),
    tar: null,
    zfile: null,
  };
  const open = (limit: number | null): ReturnType<typeof openWholeLayer> => {
    const own = { ...tools(readers), records: { folder, limit } };
    return openWholeLayer('tar.zst', inner, { digests: null, recordKey: ofFile }, own);
  };
  full = 'the limit is reached';
  await t.rejects(open(2 ** 30), { code: 'LIMIT', message: /: the limit is reached: make room/ });
  t.same(asked, [16 << 20, 0], 'and then it grows no more');
  t.same(readdirSync(join(folder, 'v1/layers')), [], 'nothing is left');
  full = null;
  t.ok((await open(2 ** 30)).copy);
  t.equal(asked.length, 5, 'the copy, its end, and its record');
  rmSync(folder, { recursive: true });
  t.ok((await open(null)).copy);
  t.equal(asked.length, 5, 'a cache without a limit is not asked');
});

function refuse(): never {
  throw new TooLargeHere(true);
}

function tools(readers: ReaderFactory, effort: Effort = UNBOUNDED) {
  return { readers, effort };
}
