// A listener of the configuration: defaults, modes, accounts. Its errors: daemon-config.test.ts.
import { test } from 'tap';
import { listenerSpec, parseAccount, parseMode } from '../../../daemon/config/listener.js';

const DEFAULTS = {
  exports: null,
  users: null,
  mode: undefined,
  owner: undefined,
  group: undefined,
  maxConnectionsPerPeer: null,
};

await test('an address alone, and an object with an address alone, have the defaults', (t) => {
  const address = { kind: 'unix', path: '/run/s' };
  t.same(listenerSpec('unix:///run/s'), { ...DEFAULTS, address });
  t.same(listenerSpec({ address: 'unix:///run/s' }), { ...DEFAULTS, address });
  t.throws(() => listenerSpec('ftp://x'), { code: 'BAD_CONFIG' });
  t.end();
});

await test('every key of a listener may be given', (t) => {
  const given = {
    exports: ['a'],
    users: [0, 'alice'],
    owner: 'nbd',
    group: 7,
    maxConnectionsPerPeer: 3,
  };
  const spec = listenerSpec({ address: 'unix:///run/s', mode: '0640', ...given });
  t.same(spec, { ...given, mode: 0o640, address: { kind: 'unix', path: '/run/s' } });
  t.same(listenerSpec({ address: 'fd://x', exports: [], users: [] }), {
    ...DEFAULTS,
    exports: [],
    users: [],
    address: { kind: 'fd', name: 'x' },
  });
  t.end();
});

await test('socket modes are octal', (t) => {
  t.equal(parseMode('0660'), 0o660);
  t.equal(parseMode('600'), 0o600);
  t.equal(parseMode('000'), 0);
  for (const text of [
    '',
    '66',
    '1777',
    '01777',
    '0o660',
    '0x1ff',
    '068',
    ' 660',
    '-600',
    '660\n',
  ]) {
    t.equal(parseMode(text), undefined, JSON.stringify(text));
  }
  t.end();
});

await test('accounts are names or numbers', (t) => {
  t.equal(parseAccount('0'), 0);
  t.equal(parseAccount('1000'), 1000);
  t.equal(parseAccount('alice'), 'alice');
  t.equal(parseAccount('7up'), '7up');
  t.end();
});
