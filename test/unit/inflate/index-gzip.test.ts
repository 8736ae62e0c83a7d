// The index of a gzip blob: spans, members, what follows them, and what is wrong.
import { test, type Test } from 'tap';
import { gzipSync } from 'node:zlib';
import { indexGzip, spanSizeOf } from '../../../daemon/inflate/index-gzip.js';
import { MAX_TRAILING_ZEROS } from '../../../daemon/inflate/limits.js';
import { loadAround, ReaderFactory } from '../../../daemon/image/disks/reader-factory.js';
import { UNBOUNDED } from '../../../daemon/lib/effort.js';
import { PiecesSource } from '../../../daemon/pieces/pieces-source.js';
import type { PieceTable } from '../../../daemon/pieces/piece-table.js';
import { readFully } from '../../../daemon/blob/source.js';
import { MemorySource } from '../../support/memory-source.js';
import { randomBytes, textBytes } from '../../support/pattern.js';

await loadAround();

const PLAIN = Buffer.concat([
  textBytes(1, 300_000),
  randomBytes(2, 200_000),
  textBytes(3, 300_000),
]);

/** The index with the plain bytes that were visited. */
async function indexed(
  stored: Buffer,
  spanSize?: number,
): Promise<{ table: PieceTable; plain: Buffer }> {
  const parts: Buffer[] = [];
  const visit = (part: Buffer): void => void parts.push(Buffer.from(part));
  const table = await indexGzip(new MemorySource(stored, 'layer'), UNBOUNDED, visit, spanSize);
  return { table, plain: Buffer.concat(parts) };
}

/** Reads every span by itself, from the last to the first. */
async function readsBack(t: Test, stored: Buffer, table: PieceTable, plain: Buffer): Promise<void> {
  const readers = new ReaderFactory();
  const spec = { kind: 'pieces', name: 'layer', table } as const;
  const source = new PiecesSource(spec, new MemorySource(stored), readers.pieceTools());
  t.equal(source.size, Math.ceil(plain.length / 512) * 512);
  for (let i = table.count - 1; i >= 0; i--) {
    const at = table.positions[i] as number;
    const length = table.lengths[i] as number;
    t.ok(
      (await readFully(source, at, length)).equals(plain.subarray(at, at + length)),
      `span ${i}`,
    );
  }
}

await test('spans are 1 MiB, longer from 2 GiB of stored bytes on, and at most 16 MiB', (t) => {
  const [mib, gib] = [2 ** 20, 2 ** 30];
  const spans = [0, 2 * gib, 2 * gib + 1, 4 * gib, 32 * gib, 64 * gib].map(spanSizeOf);
  t.same(spans, [mib, mib, mib + 1, 2 * mib, 16 * mib, 16 * mib]);
  t.end();
});

await test('spans of one member', async (t) => {
  for (const options of [{}, { level: 9 }, { level: 1 }, { level: 0 }, { memLevel: 1 }]) {
    const stored = gzipSync(PLAIN, options);
    const { table, plain } = await indexed(stored, 50_000);
    t.ok(plain.equals(PLAIN));
    t.ok(table.count >= 5, `${table.count} spans`);
    await readsBack(t, stored, table, PLAIN);
  }
});

await test('a small blob is one span', async (t) => {
  const stored = gzipSync(PLAIN);
  const { table } = await indexed(stored);
  t.equal(table.count, 1);
  await readsBack(t, stored, table, PLAIN);
});

await test('members of all sizes, empty ones among them, and zeros after the last', async (t) => {
  const sizes = [0, 1, 100, 200_000, 7, 0, 60_000, 3, 3, 3, 150_000, 0];
  const members: Buffer[] = [];
  let at = 0;
  for (const size of sizes) {
    members.push(gzipSync(PLAIN.subarray(at, at + size)));
    at += size;
  }
  const stored = Buffer.concat([...members, Buffer.alloc(10_240)]);
  const { table, plain } = await indexed(stored, 50_000);
  t.ok(plain.equals(PLAIN.subarray(0, at)));
  await readsBack(t, stored, table, plain);
});

await test('members that share a span, and are too long to be inflated at once', async (t) => {
  const cuts = [0, 100_000, 180_000, 180_001, 400_000, PLAIN.length];
  const members = cuts.slice(1).map((end, i) => gzipSync(PLAIN.subarray(cuts[i], end)));
  const stored = Buffer.concat([...members, Buffer.alloc(512)]);
  t.equal((await indexed(stored)).table.count, 1);
  for (const spanSize of [1, 70_000, 350_000, 1_000_000]) {
    const { table, plain } = await indexed(stored, spanSize);
    t.ok(plain.equals(PLAIN));
    await readsBack(t, stored, table, PLAIN);
  }
});

await test('an empty member', async (t) => {
  const { table } = await indexed(gzipSync(Buffer.alloc(0)));
  t.match(table, { count: 0, size: 0 });
});

await test('many zeros after the last member are announced as work, and have a limit', async (t) => {
  const member = gzipSync(PLAIN);
  const blob = Buffer.alloc(member.length + MAX_TRAILING_ZEROS + 1);
  member.copy(blob);
  let units = 0;
  let turns = 0;
  const effort = {
    ...UNBOUNDED,
    spend: (more: number) => void (units += more),
    turn: () => void turns++ as unknown as null,
  };
  const index = (bytes: Buffer) =>
    indexGzip(new MemorySource(bytes, 'layer'), effort, () => undefined);
  t.equal((await index(member)).count, 1);
  const [unitsOfMember, turnsOfMember] = [units, turns];
  t.equal((await index(blob.subarray(0, -1))).count, 1);
  t.ok(turns - 2 * turnsOfMember >= 60, `${turns} turns`);
  t.ok(units - 2 * unitsOfMember >= 60 * 8192, `${units} units`);
  await t.rejects(index(blob), {
    code: 'LIMIT',
    message:
      /^layer: gzip at byte \d+: expected at most 67108864 zeros after the last member, got more/,
  });
});

await test('what is wrong', async (t) => {
  const stored = gzipSync(PLAIN);
  const refused = (bytes: Buffer, message: RegExp): Promise<unknown> =>
    t.rejects(indexed(bytes, 50_000), { code: 'BAD_DATA', message });
  await refused(
    stored.subarray(0, -1),
    /^layer: gzip at byte \d+: expected a whole gzip member, got the end/,
  );
  await refused(stored.subarray(0, 9), /got the end of the blob/);
  await refused(
    Buffer.concat([stored, Buffer.from('garbage')]),
    /expected gzip, got something else/,
  );
  await refused(Buffer.concat([stored, Buffer.alloc(9), stored]), /expected zeros up to the end/);
  const wrongSum = Buffer.from(stored);
  wrongSum.writeUInt32LE(7, stored.length - 8);
  await refused(wrongSum, /expected gzip/);
  const damaged = Buffer.from(stored);
  damaged.fill(0xff, 1000, 1300);
  await refused(damaged, /expected gzip/);
});

/** A member without bytes, and with a name of this length in its header. */
function emptyMember(nameLength: number): Buffer {
  const member = gzipSync(Buffer.alloc(0));
  member[3] = 8;
  const name = Buffer.alloc(nameLength + 1, 'n');
  name[nameLength] = 0;
  return Buffer.concat([member.subarray(0, 10), name, member.subarray(10)]);
}

/** A member of one block, fixed codes: a zero, then runs of 258 zeros. It has no end. */
function oneBlock(runs: number): Buffer {
  const bits = `11000110000${'1100010100000'.repeat(runs)}`;
  const block = Buffer.alloc(Math.ceil(bits.length / 8));
  for (let i = 0; i < bits.length; i++) {
    if (bits[i] === '1') block[i >>> 3] = (block[i >>> 3] as number) | (1 << (i & 7));
  }
  return Buffer.concat([gzipSync(Buffer.alloc(0)).subarray(0, 10), block]);
}

await test('blobs of nothing, and blocks that are too large', async (t) => {
  const many = Buffer.concat(Array<Buffer>(35).fill(emptyMember(1_000_000)));
  await t.rejects(indexed(many), { code: 'LIMIT', message: /stored bytes for 0 plain ones/ });
  await t.rejects(indexed(oneBlock(265_000)), {
    code: 'LIMIT',
    message: /at most 67108864 plain bytes of one block/,
  });
});

await test('a changed blob is noticed when a span is read', async (t) => {
  const stored = gzipSync(PLAIN);
  const { table } = await indexed(stored, 50_000);
  const other = Buffer.from(stored);
  const second = (table.begins[2] as number) + 3000;
  other[second] = (other[second] as number) ^ 1;
  const tools = new ReaderFactory().pieceTools();
  const source = new PiecesSource(
    { kind: 'pieces', name: 'layer', table },
    new MemorySource(other),
    tools,
  );
  await t.rejects(readFully(source, table.positions[2] as number, 10), {
    code: /^BAD_(DATA|CHECKSUM)$/,
  });
  t.ok((await readFully(source, 0, 1000)).equals(PLAIN.subarray(0, 1000)));
});

await test('work is announced, and other work gets its turn', async (t) => {
  const stored = gzipSync(PLAIN);
  let units = 0;
  let turns = 0;
  let kept = 0;
  const effort = {
    spend: (more: number) => void (units += more),
    turn: () => void turns++ as unknown as null,
    keep: (bytes: number) => void (kept += bytes),
  };
  await indexGzip(new MemorySource(stored), effort, () => undefined, 50_000);
  t.ok(units >= 8192 && turns > 1);
  t.ok(kept > 4 * 32, `${kept} bytes`);
});

await test('how far it is can be shown', async (t) => {
  const stored = gzipSync(randomBytes(9, 3_000_000));
  const shown: number[] = [];
  const progress = (done: number, total: number): void => {
    t.equal(total, stored.length);
    shown.push(done);
  };
  await indexGzip(new MemorySource(stored), { ...UNBOUNDED, progress }, () => undefined);
  t.equal(shown[0], 0);
  t.ok(shown.length > 3 && shown.every((done, i) => done >= (shown[i - 1] ?? 0)));
  t.ok((shown.at(-1) ?? 0) > stored.length - 1_000_000);
});
