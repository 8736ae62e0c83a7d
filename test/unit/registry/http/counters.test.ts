// Counters of hosts, up to a bound.
import { test } from 'tap';
import { Counters, MAX_COUNTED_HOSTS } from '../../../../daemon/registry/http/counters.js';

await test('hosts by name, up to a bound', (t) => {
  const counters = new Counters();
  for (let i = 0; i < MAX_COUNTED_HOSTS + 10; i++) counters.of(`host${i}`).inFlight++;
  t.equal(counters.hosts.size, MAX_COUNTED_HOSTS + 1);
  t.equal(counters.of('other').inFlight, 10);
  t.equal(counters.of('host0').inFlight, 1);
  t.end();
});
