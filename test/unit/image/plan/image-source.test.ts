// The source of an image, as it was given.
import { test } from 'tap';
import {
  areSameBlobs,
  describeBlobs,
  sourceOfWords,
  wordsOf,
} from '../../../../daemon/image/plan/image-source.js';

await test('paths are files, in their order', (t) => {
  const { blobs, partition } = sourceOfWords(['/a', '/b c'], 2);
  t.equal(describeBlobs(blobs), '/a /b c');
  t.same(wordsOf(blobs), ['/a', '/b c']);
  t.equal(partition, 2);
  t.equal(sourceOfWords(['/a']).partition, null);
  t.ok(areSameBlobs(blobs, sourceOfWords(['/a', '/b c']).blobs));
  t.notOk(areSameBlobs(blobs, sourceOfWords(['/b c', '/a']).blobs));
  t.notOk(areSameBlobs(blobs, sourceOfWords(['/a']).blobs));
  t.end();
});
