// Both forms of a table of pieces give the same answers.
import * as fc from 'fast-check';
import { test, type Test } from 'tap';
import { packTable } from '../../../daemon/pieces/packed-table.js';
import { lookupOf, type PieceLookup } from '../../../daemon/pieces/piece-lookup.js';
import { CODECS, PieceTableBuilder, type PieceTable } from '../../../daemon/pieces/piece-table.js';
import { randomBytes } from '../../support/pattern.js';
import { packedTables } from '../../support/piece-tables.js';
import { SEED } from '../../support/seed.js';

function answers(pieces: PieceLookup, size: number): unknown[] {
  const places: number[] = [size - 1, size];
  const all = Array.from({ length: pieces.count }, (_, i) => {
    const [position, length] = [pieces.position(i), pieces.length(i)];
    places.push(position - 1, position, position + 1, position + length);
    const digest = pieces.digest(i);
    return [position, length, pieces.member(i), pieces.inner(i), digest && [...digest]];
  });
  const members = Array.from({ length: pieces.members }, (_, i) => {
    const place = [pieces.begin(i), pieces.stored(i), pieces.plain(i), pieces.codec(i)];
    return [...place, pieces.firstPiece(i), pieces.endPiece(i)];
  });
  // In another order, too: the block that was asked for last is kept.
  const found = [...places, ...places.toReversed()].map((place) => pieces.find(Math.max(place, 0)));
  return [pieces.count, pieces.members, all, members, found];
}

function compare(t: Test, table: PieceTable, name: string): void {
  const packed = answers(lookupOf(packTable(table)), table.size);
  t.same(packed, answers(lookupOf(table), table.size), name);
}

await test('tables of each kind', (t) => {
  for (const { name, table } of packedTables(100)) compare(t, table, name);
  compare(t, new PieceTableBuilder('blob').finish(0), 'none');
  t.end();
});

await test('a packed table says what its columns say', (t) => {
  const piece = fc.record({
    kind: fc.constantFrom('file', 'next chunk', 'far away'),
    length: fc.oneof(fc.integer({ min: 1, max: 2000 }), fc.integer({ min: 1, max: 1 << 22 })),
    begin: fc.oneof(fc.nat(20), fc.nat(2 ** 40)),
    inner: fc.oneof(fc.constant(0), fc.nat(1 << 20)),
    codec: fc.constantFrom(...CODECS),
    hasDigest: fc.boolean(),
    isZeros: fc.boolean(),
  });
  const pieces = fc.array(piece, { minLength: 1, maxLength: 100 });
  const property = fc.property(pieces, (all) => {
    const builder = new PieceTableBuilder('blob');
    for (const [i, { kind, length, begin, inner, codec, hasDigest, isZeros }] of all.entries()) {
      if (kind === 'file') builder.align();
      if (kind === 'far away') builder.moveTo(builder.size + begin);
      const digest = hasDigest ? randomBytes(i, 32) : null;
      if (isZeros) builder.addZeros(length);
      else builder.addStored({ codec, begin, inner, length, digest });
    }
    compare(t, builder.finish(2 ** 41), `${all.length} pieces`);
  });
  fc.assert(property, { seed: SEED, numRuns: 200 });
  t.end();
});
