import { test } from 'tap';
import { listenerSpec } from '../../../daemon/config/listener.js';
import { admissionOf, refusalOf } from '../../../daemon/listen/admission.js';
import { peerAt } from '../../../daemon/listen/peer.js';
import { DEFAULT_CONNECTIONS_PER_PEER, MAX_CONNECTIONS } from '../../../daemon/listen/limits.js';

const USERS = new Map<unknown, number>([
  ['alice', 1000],
  [7, 7],
]);
const userId = (account: unknown): number => USERS.get(account) ?? -1;
const NONE = { ofGroup: 0, ofAll: 0 };
const user = (uid: number) => peerAt({ kind: 'unix', pid: 1, uid });
const TCP = peerAt({ kind: 'tcp', host: '10.0.0.7', port: 1 });

await test('a listener without its own limits has the default ones', (t) => {
  const admission = admissionOf(listenerSpec('unix:///run/x'), userId);
  t.same(admission, {
    exports: null,
    users: null,
    maxConnectionsPerPeer: DEFAULT_CONNECTIONS_PER_PEER,
  });
  t.equal(refusalOf(admission, user(1000), NONE), null);
  t.equal(refusalOf(admission, TCP, NONE), null, 'a client of unknown user');
  t.end();
});

await test('users are looked up, and users that are not allowed are refused', (t) => {
  const spec = listenerSpec({ address: 'unix:///run/x', users: ['alice', 7], exports: ['a'] });
  const admission = admissionOf(spec, userId);
  t.same([...(admission.users ?? [])], [1000, 7]);
  t.same(admission.exports, ['a']);
  t.equal(refusalOf(admission, user(1000), NONE), null);
  t.equal(refusalOf(admission, user(7), NONE), null);
  for (const peer of [user(0), user(1001), TCP, peerAt(null)]) {
    t.same(refusalOf(admission, peer, NONE), {
      key: `user ${peer.group}`,
      reason: 'not a user who may connect here',
    });
  }
  t.end();
});

await test('a limit allows exactly its number', (t) => {
  const spec = listenerSpec({ address: 'tcp://127.0.0.1', maxConnectionsPerPeer: 2 });
  const admission = admissionOf(spec, userId);
  t.equal(refusalOf(admission, TCP, { ...NONE, ofGroup: 1 }), null);
  t.same(refusalOf(admission, TCP, { ...NONE, ofGroup: 2 }), {
    key: 'peer 10.0.0.7',
    reason: '10.0.0.7 has 2 connections open',
  });
  t.equal(refusalOf(admission, TCP, { ...NONE, ofAll: MAX_CONNECTIONS - 1 }), null);
  t.same(refusalOf(admission, TCP, { ...NONE, ofAll: MAX_CONNECTIONS }), {
    key: 'all',
    reason: `${MAX_CONNECTIONS} connections are open`,
  });
  t.end();
});
