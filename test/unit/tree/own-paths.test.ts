// Which paths a layer has entries for.
import { test } from 'tap';
import { OwnPaths } from '../../../daemon/tree/own-paths.js';
import { layerOf } from '../../support/trees.js';

await test('paths of entries, and not of whiteouts', (t) => {
  const files = Array.from({ length: 500 }, (_, i) => `d/file-${i}`);
  const paths = new OwnPaths(layerOf('d/', ...files, 'a/.wh.gone', 'b/.wh..wh..opq', 'link -> d'));
  for (const each of ['d', ...files, 'link']) t.ok(paths.has(each), each);
  for (const each of ['', 'a', 'b', 'gone', 'a/gone', 'd/file-500', 'd/file-']) {
    t.notOk(paths.has(each), each);
  }
  t.notOk(new OwnPaths(layerOf()).has(''));
  t.end();
});
