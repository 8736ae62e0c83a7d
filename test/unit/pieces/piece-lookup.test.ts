// Both forms of a table of pieces give the same answers.
import * as fc from 'fast-check';
import { test } from 'tap';
import { isPacked, packTable } from '../../../daemon/pieces/packed-table.js';
import { lookupOf, type PieceLookup } from '../../../daemon/pieces/piece-lookup.js';
import { PieceTableBuilder } from '../../../daemon/pieces/piece-table.js';
import { randomBytes } from '../../support/pattern.js';
import { SEED } from '../../support/seed.js';

function answers(pieces: PieceLookup, size: number): unknown[] {
  const places: number[] = [];
  const all = Array.from({ length: pieces.count }, (_, i) => {
    const position = pieces.position(i);
    places.push(position, position + 1, position + pieces.length(i));
    const place = [position, pieces.length(i), pieces.member(i), pieces.inner(i)];
    const member = [pieces.begin(i), pieces.stored(i), pieces.plain(i), pieces.codec(i)];
    const own = [pieces.firstPiece(i), pieces.endPiece(i), pieces.hasDigest(i)];
    return [...place, ...member, ...own];
  });
  places.push(size - 1, size);
  return [pieces.count, pieces.members, all, places.map((place) => pieces.find(place))];
}

await test('a packed table says what its columns say', (t) => {
  const file = fc.record({
    length: fc.oneof(fc.integer({ min: 1, max: 2000 }), fc.integer({ min: 1, max: 1 << 26 })),
    gap: fc.oneof(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 1, max: 2 ** 32 - 1 })),
  });
  const files = fc.array(file, { minLength: 1, maxLength: 150 });
  const property = fc.property(files, fc.constantFrom('gzip', 'zstd'), (each, codec) => {
    const builder = new PieceTableBuilder('blob');
    let begin = 7;
    for (const [i, { length, gap }] of each.entries()) {
      builder.align();
      builder.addStored({ codec, begin, inner: 0, length, digest: randomBytes(i, 32) });
      begin += gap;
    }
    const table = builder.finish(begin);
    const packed = packTable(table);
    t.ok(isPacked(packed));
    t.same(answers(lookupOf(packed), table.size), answers(lookupOf(table), table.size));
  });
  fc.assert(property, { seed: SEED, numRuns: 200 });
  t.end();
});
