// What transfers did, in numbers.
import t from 'tap';
import { OverlaybdError } from '../../../daemon/errors.js';
import { FetchBlob } from '../../../daemon/fetch/fetch-blob.js';
import { FetchTotals } from '../../../daemon/fetch/fetch-totals.js';
import { FakeBlob } from '../../support/fetch-fakes.js';

await t.test('bytes, times and failures, as they can be posted', (test) => {
  const fake = new FakeBlob((2 << 16) + 5);
  const blob = new FetchBlob(fake.ref, fake);
  const totals = new FetchTotals();
  const arrived = (chunk: number, sentAs: 'demand' | 'ahead', wantedAs = sentAs): void => {
    fake.map.set(chunk);
    totals.arrived(blob, chunk, sentAs, wantedAs);
  };
  arrived(0, 'demand');
  arrived(1, 'ahead');
  arrived(2, 'ahead', 'demand');
  fake.map.touch(0, 1);
  for (const chunks of [1, 2, 4, 5, 16]) totals.transferred(chunks, 300);
  totals.readFailed(new OverlaybdError('REMOTE', 'x'));
  totals.readFailed(new Error('x'));
  const posted = structuredClone(totals.posted([blob]));
  test.same(posted.bytes, { demand: 65_536, ahead: 65_541, trace: 0, fill: 0 });
  test.same(posted.prefetch.ahead, { used: 65_536, unused: 0 }, 'a read had joined the last one');
  test.same(
    Object.values(posted.seconds).map(({ count }) => count),
    [1, 2, 2],
  );
  test.equal(posted.seconds['64k'].sum, 0.3);
  test.same(posted.failed, { REMOTE: 1, BUG: 1 });
  test.end();
});
