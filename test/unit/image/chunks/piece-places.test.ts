// Where pieces and objects are in the plain bytes of their source.
import { test } from 'tap';
import { ObjectTableBuilder } from '../../../../daemon/composefs/object-table.js';
import { placesOf, type PiecePlaces } from '../../../../daemon/image/chunks/piece-places.js';
import { packTable } from '../../../../daemon/pieces/packed-table.js';
import { PieceTableBuilder } from '../../../../daemon/pieces/piece-table.js';

function placesIn(places: PiecePlaces): number[][] {
  const all = Array.from({ length: places.count }, (_, i) => [
    places.position(i),
    places.length(i),
  ]);
  return [...all, [0, 299, 300, 4095, 4096, 4196].map((offset) => places.find(offset))];
}

await test('pieces and objects', (t) => {
  const pieces = new PieceTableBuilder('blob');
  const objects = new ObjectTableBuilder('image', () => undefined);
  for (const [i, length] of [300, 100].entries()) {
    pieces.align();
    pieces.addStored({ codec: 'gzip', begin: i, inner: 0, length, digest: null });
    const file = { folder: 0, nameAt: 0, nameLength: 0 };
    objects.addObject({ name: `object ${i}`, size: length, digest: null }, file);
  }
  const table = packTable(pieces.finish(10));
  const expected = [
    [0, 300],
    [4096, 100],
    [0, 0, 1, 1, 1, 2],
  ];
  t.same(placesIn(placesOf({ kind: 'pieces', name: 'blob', table })), expected);
  const around = { kind: 'objects', name: 'image', table: objects.finish(), store: null } as const;
  t.same(placesIn(placesOf(around)), expected);
  t.end();
});
