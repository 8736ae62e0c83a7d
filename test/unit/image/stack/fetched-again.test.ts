// What an opening does about errors that wrong bytes may have caused.
import { test } from 'tap';
import { UNBOUNDED, type Effort } from '../../../../daemon/lib/effort.js';
import { factsOf, OverlaybdError } from '../../../../daemon/errors.js';
import { fetchedAgain, withSecondTry } from '../../../../daemon/image/stack/fetched-again.js';

const broken = (): OverlaybdError => new OverlaybdError('BAD_FORMAT', 'no such header');
const failing = (): Promise<number> => Promise.reject(broken());
const read = (n: number): Promise<string> =>
  n === 1 ? Promise.reject(broken()) : Promise.resolve(`read ${n}`);
const files = (isBetter: boolean) => ({ all: [{ refetch: () => Promise.resolve(isBetter) }] });

await test('bytes that may be wrong are fetched again, and nothing else is', async (t) => {
  let asked = 0;
  const blob = (refetch: () => Promise<boolean>) => ({
    refetch: () => {
      asked++;
      return refetch();
    },
  });
  const local = blob(() => Promise.resolve(false));
  const remote = blob(() => Promise.resolve(true));
  t.equal(await fetchedAgain([local, remote], broken()), true);
  t.equal(await fetchedAgain([local], broken()), false, 'nothing that can be other bytes');
  t.equal(asked, 3);
  t.equal(await fetchedAgain([remote], new OverlaybdError('NOT_FOUND', 'gone')), false);
  t.equal(await fetchedAgain([remote], new Error('a bug')), false);
  t.equal(asked, 3, 'what cannot be damage asks for nothing');
  const silent = blob(() => Promise.reject(new OverlaybdError('REMOTE', 'no answer')));
  t.equal(await fetchedAgain([silent, remote], broken()), true, 'each blob by itself');
  const error = broken();
  t.equal(await fetchedAgain([silent], error), false, 'the first error is thrown');
  t.match(factsOf(error), { refetch: 'no answer' });
});

await test('layers are opened again if what is read in them may be wrong', async (t) => {
  const kept: number[] = [];
  const effort = { ...UNBOUNDED, keep: (bytes: number) => void kept.push(bytes) };
  let opened = 0;
  const open = (own: Effort): Promise<number> => {
    own.keep(100, 'layer');
    return Promise.resolve(++opened);
  };
  t.equal(await withSecondTry(files(true), effort, open, read), 'read 2');
  t.same(kept, [100, -100, 100], 'what the first ones took is given back');
  opened = 0;
  await t.rejects(withSecondTry(files(false), effort, open, read), { code: 'BAD_FORMAT' });
  t.equal(opened, 1);
  let asked = 0;
  const asking = { all: [{ refetch: () => Promise.resolve(++asked > 0) }] };
  await t.rejects(withSecondTry(asking, effort, failing, read), { code: 'BAD_FORMAT' });
  t.equal(asked, 0, 'an opening has tried that itself');
});
