// Counters of hosts and their statuses, up to bounds.
import { test } from 'tap';
import {
  Counters,
  HostCounters,
  MAX_COUNTED_HOSTS,
  MAX_COUNTED_STATUSES,
  countRequest,
} from '../../../../daemon/registry/http/counters.js';

await test('hosts by name, up to a bound', (t) => {
  const counters = new Counters();
  for (let i = 0; i < MAX_COUNTED_HOSTS + 10; i++) counters.of(`host${i}`).inFlight++;
  t.equal(counters.hosts.size, MAX_COUNTED_HOSTS + 1);
  t.equal(counters.of('other').inFlight, 10);
  t.equal(counters.of('host0').inFlight, 1);
  t.end();
});

await test('statuses by number, up to a bound', (t) => {
  const counters = new HostCounters();
  for (let status = 100; status < 1000; status++) countRequest(counters, 'blob', `${status}`);
  for (const each of ['100', '599', 'timeout', 'timeout']) countRequest(counters, 'blob', each);
  countRequest(counters, 'manifest', '599');
  const { blob, manifest } = counters.requests;
  t.equal(Object.keys(blob).length, MAX_COUNTED_STATUSES + 9 + 1);
  t.match(blob, { 100: 2, 131: 1, '1xx': 68, '5xx': 101, '9xx': 100, timeout: 2 });
  t.same(manifest, { 599: 1 }, 'each kind by itself');
  t.end();
});
