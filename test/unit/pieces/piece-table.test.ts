// The table of pieces: members, ends, limits.
import { test } from 'tap';
import { OverlaybdError } from '../../../daemon/errors.js';
import { UNBOUNDED } from '../../../daemon/lib/effort.js';
import { HeapBudget } from '../../../daemon/lib/heap-budget.js';
import { MAX_DECODED_BYTES } from '../../../daemon/pieces/limits.js';
import { packedBytes, packTable } from '../../../daemon/pieces/packed-table.js';
import {
  NO_MEMBER,
  PieceTableBuilder,
  tableBytes,
  type StoredPiece,
} from '../../../daemon/pieces/piece-table.js';

const piece = (begin: number, length: number, inner = 0): StoredPiece => {
  return { codec: 'gzip', begin, inner, length, digest: null };
};

await test('pieces in the order of files, members in any order', (t) => {
  const builder = new PieceTableBuilder('blob');
  t.equal(builder.align(), 0);
  builder.addStored({ ...piece(900, 10), digest: Buffer.alloc(32, 5) });
  builder.addZeros(7);
  t.equal(builder.size, 17);
  t.equal(builder.align(), 4096);
  builder.addStored(piece(100, 600));
  builder.addStored(piece(900, 20, 300));
  const table = builder.finish(1000);
  t.equal(table.size, 5120);
  t.same([...table.positions], [0, 10, 4096, 4696]);
  t.same([...table.lengths], [10, 7, 600, 20]);
  t.same([...table.members], [0, NO_MEMBER, 1, 0]);
  t.same([...table.inner], [0, 0, 0, 300]);
  t.same([...table.hasDigest], [1, 0, 0, 0]);
  t.same([...table.digests.subarray(0, 33)], [...Buffer.alloc(32, 5), 0]);
  t.same([...table.begins], [900, 100]);
  t.same([...table.stored], [100, 800]);
  t.same([...table.plain], [320, 600]);
  t.same([...table.firstPieces], [0, 2]);
  t.same([...table.endPieces], [4, 3]);
  t.ok(table.positions.buffer instanceof SharedArrayBuffer);
  t.equal(tableBytes(table), 4 * 53 + 2 * 25);
  t.end();
});

await test('digests that begin after many pieces without one', (t) => {
  const builder = new PieceTableBuilder('blob');
  const count = 1000;
  for (let i = 0; i < count; i++) {
    const digest = i === 700 || i === 701 ? Buffer.alloc(32, i - 699) : null;
    builder.addStored({ ...piece(10 * i, 10), digest });
  }
  const { digests, hasDigest } = builder.finish(10 * count);
  t.equal(digests.length, 32 * count);
  t.same(
    [...digests.subarray(32 * 699, 32 * 703)],
    [...Buffer.alloc(32), ...Buffer.alloc(32, 1), ...Buffer.alloc(32, 2), ...Buffer.alloc(32)],
  );
  t.ok(digests.buffer instanceof SharedArrayBuffer);
  t.same(
    [...hasDigest.entries()].flatMap(([i, each]) => (each === 1 ? i : [])),
    [700, 701],
  );
  t.end();
});

await test('no more is read than compressors can make', (t) => {
  const builder = new PieceTableBuilder('blob');
  builder.addStored(piece(0, 100));
  t.same([...builder.finish(2 ** 40).stored], [200 + 65_536]);
  t.end();
});

await test('a piece that takes too much memory', (t) => {
  const builder = new PieceTableBuilder('blob');
  builder.addStored(piece(0, MAX_DECODED_BYTES - 5, 5));
  t.throws(() => builder.addStored(piece(1, MAX_DECODED_BYTES, 1)), {
    code: 'LIMIT',
    message: /67108865 bytes are to be decoded for one piece, at most 67108864/,
  });
  t.end();
});

await test('a member that is too far away in the blob', (t) => {
  const builder = new PieceTableBuilder('blob');
  builder.addStored(piece(2 ** 51, 1));
  t.throws(() => builder.addStored(piece(2 ** 51 + 1, 1)), {
    code: 'LIMIT',
    message: /its member is at byte 2251799813685249 of the blob, at most 2251799813685248/,
  });
  t.end();
});

await test('pieces of one member that overlap are refused before a read takes hours', (t) => {
  const large = new PieceTableBuilder('blob');
  for (let i = 0; i < 3; i++) large.addStored(piece(7, MAX_DECODED_BYTES));
  t.throws(() => large.addStored(piece(7, MAX_DECODED_BYTES)), {
    code: 'LIMIT',
    message: /pieces in the member at byte 7 overlap: 268437504 bytes and more, at most 268435456/,
  });
  large.addStored(piece(8, MAX_DECODED_BYTES));
  const small = new PieceTableBuilder('blob');
  // As many small files as one member can have.
  for (let i = 0; i < MAX_DECODED_BYTES / 1024; i++) small.addStored(piece(7, 512, 1024 * i));
  t.throws(
    () => {
      for (;;) small.addStored(piece(7, 1));
    },
    { code: 'LIMIT' },
  );
  t.end();
});

/** Counts as the opener does. */
class Counting {
  readonly heap: HeapBudget;
  readonly spend = UNBOUNDED.spend.bind(UNBOUNDED);
  readonly turn = UNBOUNDED.turn.bind(UNBOUNDED);
  bytes = 0;
  readonly #most: number;

  constructor(most: number, mostHeap = 0) {
    this.#most = most;
    this.heap = new HeapBudget(mostHeap);
  }

  readonly keep = (bytes: number): void => {
    this.bytes += bytes;
    if (this.bytes > this.#most) throw new OverlaybdError('LIMIT', 'too much');
  };
}

await test('columns are announced before they are allocated, and the table instead of them at the end', (t) => {
  const counting = new Counting(2 ** 30);
  const builder = new PieceTableBuilder('blob', counting);
  for (let i = 0; i < 1000; i++) builder.addStored(piece(i, 1));
  t.ok(counting.bytes > 1000 * 50, `${counting.bytes} bytes before the end`);
  const table = builder.finish(1000);
  t.equal(counting.bytes, tableBytes(table));
  const packed = packTable(table, 'blob', counting);
  t.equal(counting.bytes, packedBytes(packed));
  const small = new Counting(20_000);
  const refused = new PieceTableBuilder('blob', small);
  t.throws(
    () => {
      for (let i = 0; i < 1000; i++) refused.addStored(piece(i, 1));
    },
    { code: 'LIMIT' },
  );
  t.ok(refused.size < 1000);
  small.bytes = 0;
  t.throws(() => packTable(table, 'blob', small), { code: 'LIMIT' }, 'what packing needs');
  t.end();
});

function add(heap: number, begins: readonly number[]): void {
  const builder = new PieceTableBuilder('blob', new Counting(2 ** 30, heap));
  for (const begin of begins) builder.addStored(piece(begin, 1));
}

await test('members out of their order are found by a table on the heap', (t) => {
  const down = Array.from({ length: 100 }, (_, i) => 100 - i);
  add(0, down.toReversed());
  add(10_000, down);
  t.throws(() => add(9999, down), {
    code: 'LIMIT',
    message:
      'blob: its 100 members so far are not in their order, and finding them takes, with what other layers have, more than 9999 bytes of memory',
  });
  t.end();
});
