// What transfers did, in numbers.
import t from 'tap';
import { OverlaybdError, type ErrorFacts } from '../../../daemon/errors.js';
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
  const posted = structuredClone(totals.posted([blob]));
  test.same(posted.bytes, { demand: 65_536, ahead: 65_541, trace: 0, fill: 0 });
  test.same(posted.prefetch.ahead, { used: 65_536, unused: 0 }, 'a read had joined the last one');
  test.same(
    Object.values(posted.seconds).map(({ count }) => count),
    [1, 2, 2],
  );
  test.equal(posted.seconds['64k'].sum, 0.3);
  test.same(posted.failed, []);
  test.end();
});

await t.test('failures by host, class and kind', (test) => {
  const totals = new FetchTotals();
  const { ref } = new FakeBlob(1);
  const failed = (facts: ErrorFacts, count = 1, host = ref.host): void => {
    for (let i = 0; i < count; i++) {
      totals.waitFailed(new OverlaybdError('REMOTE', 'x', { facts }), 'demand', {
        ref: { ...ref, host },
      });
    }
  };
  failed({ host: 'store.example', failure: 'retry' }, 2);
  failed({ host: 'store.example', failure: 'bad' });
  failed({ failure: 'late' });
  totals.waitFailed(new Error('x'), 'fill', { ref });
  totals.waitFailed(new OverlaybdError('BUSY', 'it is being closed'), 'fill', { ref });
  const posted = (): unknown[] =>
    totals.posted([]).failed.map(({ host, class: each, failure, count }) => {
      return `${host} ${each} ${failure} ${count}`;
    });
  test.same(posted(), [
    'store.example demand retry 2',
    'store.example demand bad 1',
    'registry.example demand late 1',
    'registry.example fill other 1',
  ]);
  for (let i = 0; i < 300; i++) failed({ failure: 'gone' }, 1, `h${i}.example`);
  test.equal(posted().length, 4 + 254 + 1, 'at most 256 hosts have a name');
  test.ok(posted().includes('other demand gone 46'));
  failed({ host: 'store.example', failure: 'bad' });
  test.ok(posted().includes('store.example demand bad 2'), 'known hosts stay');
  test.end();
});
