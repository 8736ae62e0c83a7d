import { test } from 'tap';
import { listenerSpec } from '../../../daemon/config/listener.js';
import { admissionOf, refusalOf, type Applicant } from '../../../daemon/listen/admission.js';
import { DEFAULT_CONNECTIONS_PER_PEER, MAX_CONNECTIONS } from '../../../daemon/nbd/limits.js';

const USERS = new Map<unknown, number>([
  ['alice', 1000],
  [7, 7],
]);
const userId = (account: unknown): number => USERS.get(account) ?? -1;
const APPLICANT: Applicant = {
  group: 'uid 1000',
  uid: 1000,
  connectionsOfGroup: 0,
  connections: 0,
};

await test('without limits of its own a listener has the usual ones', (t) => {
  const admission = admissionOf(listenerSpec('unix:///run/x'), userId);
  t.same(admission, {
    exports: null,
    users: null,
    maxConnectionsPerPeer: DEFAULT_CONNECTIONS_PER_PEER,
  });
  t.equal(refusalOf(admission, APPLICANT), null);
  t.equal(refusalOf(admission, { ...APPLICANT, uid: -1 }), null, 'a client of unknown user');
  t.end();
});

await test('users are looked up, and others are refused', (t) => {
  const spec = listenerSpec({ address: 'unix:///run/x', users: ['alice', 7], exports: ['a'] });
  const admission = admissionOf(spec, userId);
  t.same([...(admission.users ?? [])], [1000, 7]);
  t.same(admission.exports, ['a']);
  t.equal(refusalOf(admission, APPLICANT), null);
  t.equal(refusalOf(admission, { ...APPLICANT, uid: 7 }), null);
  for (const uid of [0, 1001, -95]) {
    t.same(refusalOf(admission, { ...APPLICANT, uid }), {
      key: 'user uid 1000',
      reason: 'not a user who may connect here',
    });
  }
  t.end();
});

await test('limits are reached at their number, not above it', (t) => {
  const spec = listenerSpec({ address: 'tcp://127.0.0.1', maxConnectionsPerPeer: 2 });
  const admission = admissionOf(spec, userId);
  const applicant = { ...APPLICANT, group: '10.0.0.7' };
  t.equal(refusalOf(admission, { ...applicant, connectionsOfGroup: 1 }), null);
  t.same(refusalOf(admission, { ...applicant, connectionsOfGroup: 2 }), {
    key: 'peer 10.0.0.7',
    reason: '10.0.0.7 has 2 connections open',
  });
  t.equal(refusalOf(admission, { ...applicant, connections: MAX_CONNECTIONS - 1 }), null);
  t.same(refusalOf(admission, { ...applicant, connections: MAX_CONNECTIONS }), {
    key: 'all',
    reason: `${MAX_CONNECTIONS} connections are open`,
  });
  t.end();
});
