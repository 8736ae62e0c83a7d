// Opening many images at the same time: their order, and which of them are waited for.
import { test } from 'tap';
import {
  sourceOfWords,
  wordsOf,
  type ImageSource,
} from '../../../daemon/image/plan/image-source.js';
import { OpenAttempts, settledIn } from '../../../daemon/image/open-attempts.js';
import type { HeldImage } from '../../../daemon/image/open-images.js';
import { deferred } from '../../support/deferred.js';

const sources = new Map(['a', 'b', 'c'].map((name) => [name, sourceOfWords([name])]));
const wordOf = ({ blobs }: ImageSource): string => wordsOf(blobs).join(' ');

await test('preferred images are opened first; the result keeps the given order', async (t) => {
  const begun: string[] = [];
  const open = async (source: ImageSource): Promise<HeldImage> => {
    begun.push(wordOf(source));
    if (wordOf(source) === 'b') throw new Error('no b');
    return { name: wordOf(source) } as HeldImage;
  };
  const attempts = new OpenAttempts({ open }).all(sources, (name) => name === 'c');
  const settled = await settledIn(60_000, attempts, () => false);
  t.same(begun, ['c', 'a', 'b']);
  t.match(
    [...settled],
    [
      ['a', { held: { name: 'a' } }],
      ['b', { error: { message: 'no b' } }],
      ['c', { held: { name: 'c' } }],
    ],
  );
});

await test('an image that takes too long is not waited for, unless it must be opened', async (t) => {
  const gates = new Map(['a', 'b', 'c'].map((name) => [name, deferred()]));
  const open = async (source: ImageSource): Promise<HeldImage> => {
    await gates.get(wordOf(source))?.promise;
    return {} as HeldImage;
  };
  const attempts = new OpenAttempts({ open }).all(sources, () => false);
  gates.get('a')?.resolve();
  await attempts.get('a');
  t.same([...(await settledIn(20, attempts, () => false)).keys()], ['a']);
  const waiting = settledIn(20, attempts, (name) => name === 'c');
  setTimeout(() => gates.get('c')?.resolve(), 100);
  t.same([...(await waiting).keys()], ['a', 'c']);
  gates.get('b')?.resolve();
  t.same([...(await settledIn(60_000, attempts, () => false)).keys()], ['a', 'b', 'c']);
});
