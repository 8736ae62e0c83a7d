// What an opening does about errors that wrong bytes may have caused.
import { test } from 'tap';
import { factsOf, OverlaybdError } from '../../../../daemon/errors.js';
import { fetchedAgain } from '../../../../daemon/image/stack/fetched-again.js';

const broken = (): OverlaybdError => new OverlaybdError('BAD_FORMAT', 'no such header');

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
