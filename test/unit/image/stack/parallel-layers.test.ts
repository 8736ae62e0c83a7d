// Layers that are read as a whole, several at the same time: how far all of them are, and how a failure ends the others.
import { setTimeout as pause } from 'node:timers/promises';
import { test } from 'tap';
import { fileRef, keyOfRef, pathOfRef } from '../../../../daemon/blob/blob-ref.js';
import { OverlaybdError } from '../../../../daemon/errors.js';
import { maybeDamage } from '../../../../daemon/image/formats/maybe-damage.js';
import { openInParallel } from '../../../../daemon/image/stack/parallel-layers.js';
import { UNBOUNDED, type LayerNumber } from '../../../../daemon/lib/effort.js';

const refs = ['/a', '/b', '/c', '/b'].map(fileRef);
const sizes = new Map(refs.map((ref) => [keyOfRef(ref), 100]));

await test('the progress is that of all layers together', async (t) => {
  const told: [number, number, LayerNumber | undefined][] = [];
  const progress = (done: number, total: number, layer?: LayerNumber): void => {
    told.push([done, total, layer]);
  };
  await openInParallel(refs, sizes, { ...UNBOUNDED, progress }, async (ref, effort) => {
    const path = pathOfRef(ref);
    if (path === '/c') await pause(0);
    effort.progress?.(path === '/c' ? 10 : 50, 100);
  });
  t.same(told, [
    [50, 300, { layer: 1, of: 4 }],
    [100, 300, { layer: 2, of: 4 }],
    [210, 300, { layer: 3, of: 4 }],
  ]);
});

await test('layers that need not be read as a whole are left alone', async (t) => {
  const opened: (string | null)[] = [];
  const some = new Map([[keyOfRef(fileRef('/b')), 1]]);
  await openInParallel(refs, some, UNBOUNDED, (ref) =>
    Promise.resolve(opened.push(pathOfRef(ref))),
  );
  t.same(opened, ['/b']);
});

await test('a failure ends the others at their next step', async (t) => {
  const failure = new Error('broken');
  let steps = 0;
  const opening = openInParallel(refs, sizes, UNBOUNDED, async (ref, effort) => {
    if (pathOfRef(ref) === '/b') throw failure;
    for (;;) {
      effort.spend(1);
      steps++;
      await pause(0);
    }
  });
  await t.rejects(opening, failure);
  t.ok(steps <= 2, `${steps} steps`);
});

await test('layers that are ended because another one failed are not taken for damaged', async (t) => {
  const failure = new OverlaybdError('BAD_FORMAT', 'broken');
  const ended: unknown[] = [];
  const opening = openInParallel(refs, sizes, UNBOUNDED, async (ref, effort) => {
    if (pathOfRef(ref) === '/b') throw failure;
    await pause(0);
    try {
      effort.spend(1);
    } catch (error) {
      ended.push(maybeDamage(error));
      throw error;
    }
  });
  await t.rejects(opening, failure);
  t.ok(ended.length > 0);
  t.notOk(ended.includes(true));
});
