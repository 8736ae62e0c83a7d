// Undoing the steps of an operation that failed half way.
import { test } from 'tap';
import { OverlaybdError } from '../../../daemon/errors.js';
import { Undo, undoIfFails } from '../../../daemon/mount/undo.js';

await test('steps are undone newest first, each once', async (t) => {
  const undo = new Undo();
  const done: number[] = [];
  for (const step of [1, 2, 3])
    undo.add(async () => {
      done.push(step);
      if (step === 2) throw new Error('busy');
    }, `step ${step} is left; undo it by hand`);
  t.same(await undo.run(), ['step 2 is left; undo it by hand (busy)']);
  t.same(done, [3, 2, 1]);
  t.same(await undo.run(), []);
});

await test('work that succeeds is not undone', async (t) => {
  let isUndone = false;
  const result = await undoIfFails(async (undo) => {
    undo.add(async () => void (isUndone = true), 'left');
    return 7;
  });
  t.same([result, isUndone], [7, false]);
});

await test('work that fails: its own error, if everything was undone', async (t) => {
  const error = new OverlaybdError('LIMIT', 'too many');
  let isUndone = false;
  const failing = undoIfFails(async (undo) => {
    undo.add(async () => void (isUndone = true), 'left');
    throw error;
  });
  t.equal(await failing.catch((thrown: unknown) => thrown), error);
  t.ok(isUndone);
});

await test('work that fails: remaining steps are added, and the code is kept', async (t) => {
  for (const [error, code] of [
    [new OverlaybdError('LIMIT', 'too many'), 'LIMIT'],
    [new Error('too many'), 'IO'],
  ] as const) {
    const failing = undoIfFails(async (undo) => {
      undo.add(() => Promise.reject(new Error('no')), 'a mount is left');
      throw error;
    });
    await t.rejects(failing, { code, message: 'too many; a mount is left (no)', cause: error });
  }
});
