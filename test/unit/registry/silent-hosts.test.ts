// Hosts that did not answer a moment ago.
import { test } from 'tap';
import { SilentHosts } from '../../../daemon/registry/silent-hosts.js';

await test('a host is silent for 5 s, or until it answers', (t) => {
  let now = 1000;
  const silent = new SilentHosts(() => now);
  t.notOk(silent.has('a'));
  silent.add('a');
  silent.add('b');
  now += 4999;
  t.same([silent.has('a'), silent.has('b'), silent.has('c')], [true, true, false]);
  silent.delete('a');
  t.notOk(silent.has('a'), 'it has answered');
  now += 1;
  t.notOk(silent.has('b'), 'it may be asked again');
  silent.add('b');
  now += 4999;
  t.ok(silent.has('b'));
  t.end();
});

await test('at most 256 hosts are remembered', (t) => {
  const silent = new SilentHosts(() => 0);
  silent.add('first');
  for (let i = 0; i < 255; i++) silent.add(`h${i}`);
  t.ok(silent.has('first'));
  silent.add('first');
  silent.add('one more');
  t.same([silent.has('h0'), silent.has('first'), silent.has('one more')], [false, true, true]);
  t.end();
});
