// What a description says of the formats of layers.
import { test } from 'tap';
import { takenFor } from '../../../../daemon/image/stack/taken-for.js';
import { layersOf } from '../../../support/tree-layers.js';

await test('equal formats are counted, and few are named', async (t) => {
  const [layer] = await layersOf(t, [{ name: 'a' }]);
  if (layer?.content.kind !== 'tree') throw new Error('not a tree');
  const { content } = layer;
  const of = (format: string): { content: typeof content } => ({ content: { ...content, format } });
  t.equal(takenFor([layer]), '1 as tar, by its first header');
  t.equal(
    takenFor([of('a, by x; digest 1'), of('b'), of('a, by x; digest 2'), of('a, by y')]),
    '2 as a, by x; 1 as b; 1 as a, by y',
  );
  t.equal(
    takenFor(['a', 'b', 'c', 'd', 'e', 'f', 'f'].map(of)),
    '1 as a; 1 as b; 1 as c; 1 as d; 3 in other formats',
  );
});
