// What an opening does about errors that wrong bytes may have caused.
import { test } from 'tap';
import { OverlaybdError } from '../../../../daemon/errors.js';
import { fetchedAgain } from '../../../../daemon/image/stack/fetched-again.js';

const damage = new OverlaybdError('BAD_FORMAT', 'no such header');

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
  t.equal(await fetchedAgain([local, remote], damage), true);
  t.equal(await fetchedAgain([local], damage), false, 'nothing that can be other bytes');
  t.equal(asked, 3);
  t.equal(await fetchedAgain([remote], new OverlaybdError('NOT_FOUND', 'gone')), false);
  t.equal(await fetchedAgain([remote], new Error('a bug')), false);
  t.equal(asked, 3, 'what cannot be damage asks for nothing');
  const refused = blob(() => Promise.reject(new OverlaybdError('BAD_CHECKSUM', 'still wrong')));
  t.equal(await fetchedAgain([remote, refused], damage), false);
  const silent = blob(() => Promise.reject(new OverlaybdError('REMOTE', 'no answer')));
  await t.rejects(fetchedAgain([silent], damage), { code: 'REMOTE' });
});
