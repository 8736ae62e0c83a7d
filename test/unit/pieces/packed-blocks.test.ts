// Blocks of a packed table: the one that was asked for last is unpacked, whatever is asked for next.
import { test } from 'tap';
import { PackedMembers, PackedPieces } from '../../../daemon/pieces/packed-blocks.js';
import { PACKED_BLOCK } from '../../../daemon/pieces/packed-numbers.js';
import { packTable } from '../../../daemon/pieces/packed-table.js';
import { NO_MEMBER, PieceTableBuilder } from '../../../daemon/pieces/piece-table.js';

const COUNT = 2 * PACKED_BLOCK + 3;

function made(): ReturnType<typeof packTable> {
  const builder = new PieceTableBuilder('blob');
  const digest = Buffer.alloc(32);
  for (let i = 0; i < COUNT; i++) {
    builder.align();
    if (i === 40) builder.addZeros(4096);
    else builder.addStored({ codec: 'lz4', begin: 100 * i, inner: 0, length: 10 + i, digest });
  }
  return packTable(builder.finish(100 * COUNT));
}

await test('pieces', (t) => {
  const pieces = new PackedPieces(made());
  for (const i of [0, 66, 1, 31, 32, 64, 63]) {
    const place = pieces.place(i);
    t.equal(pieces.positions[place], 4096 * i, `piece ${i}`);
    t.equal(pieces.lengths[place], 10 + i);
    t.equal(pieces.members[place], i < 40 ? i : i - 1);
    t.equal(pieces.digests[place], i < 40 ? i : i - 1);
  }
  t.equal(pieces.members[pieces.place(40)], NO_MEMBER);
  t.equal(pieces.digests[pieces.place(40)], -1);
  for (const i of [66, 0, 33, 31, 32]) {
    t.equal(pieces.find(4096 * i), i);
    t.equal(pieces.find(4096 * i + 10 + i - 1), i);
    t.equal(pieces.find(4096 * i + 10 + i), i + 1);
  }
  t.equal(pieces.find(4096 * COUNT), COUNT);
  t.end();
});

await test('members', (t) => {
  const members = new PackedMembers(made());
  for (const i of [65, 0, 39, 40, 1]) {
    const place = members.place(i);
    const piece = i < 40 ? i : i + 1;
    t.equal(members.begins[place], 100 * piece, `member ${i}`);
    t.same([members.firstPieces[place], members.endPieces[place]], [piece, piece + 1]);
    t.equal(members.lengths[place], i === 39 ? 200 : 100);
    t.equal(members.codecs[place], 4);
    t.equal(members.plain[place], 0);
  }
  t.end();
});
