// Which wrong chunks may be fetched once more.
import t from 'tap';
import { Refetched } from '../../../daemon/fetch/refetched.js';
import { MAX_REFETCHED } from '../../../daemon/fetch/limits.js';

await t.test('once, then not for a minute, but for readers from before', (test) => {
  const refetched = new Refetched();
  test.equal(refetched.verdict(7, 0), 'fetch');
  refetched.fetched([7], 10);
  test.equal(refetched.verdict(7, 900), 'again');
  test.equal(refetched.verdict(7, 2000), 'refuse');
  test.equal(refetched.verdict(8, 2000), 'fetch');
  test.equal(refetched.verdict(7, 60_010), 'fetch');
  test.end();
});

await t.test('what another process brings is fetched once more, and only once', (test) => {
  const refetched = new Refetched();
  refetched.cameFromElsewhere(7, 0);
  refetched.fetched([7], 0);
  refetched.cameFromElsewhere(7, 2000);
  test.equal(refetched.verdict(7, 2000), 'fetch', 'it was not in doubt before');
  refetched.fetched([7], 2000);
  refetched.cameFromElsewhere(7, 4000);
  test.equal(refetched.verdict(7, 4000), 'refuse');
  test.ok(refetched.isRecent(7, 4000));
  refetched.cameFromElsewhere(7, 62_000);
  test.equal(refetched.verdict(7, 4000), 'fetch', 'after the pause');
  refetched.fetched([7], 62_000);
  refetched.clear();
  test.equal(refetched.verdict(7, 62_000), 'fetch');
  test.end();
});

await t.test('remembers a bounded number', (test) => {
  const refetched = new Refetched();
  for (let chunk = 0; chunk < 3000; chunk++) refetched.fetched([chunk], chunk / 1000);
  test.equal(refetched.verdict(0, 3000), 'fetch', 'forgotten');
  test.equal(refetched.verdict(2999, 3000), 'refuse');
  test.end();
});

await t.test('the oldest of 1024 makes room', (test) => {
  const refetched = new Refetched();
  for (let chunk = 0; chunk <= MAX_REFETCHED; chunk++) refetched.fetched([chunk], 0);
  test.same(
    [0, 1].map((chunk) => refetched.verdict(chunk, 2000)),
    ['fetch', 'refuse'],
  );
  test.equal(MAX_REFETCHED, 1024);
  test.end();
});
