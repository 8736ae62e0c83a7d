// Where `serve` listens: command line, configuration, passed sockets, and refused combinations.
import { test } from 'tap';
import { listeners, type ListenArguments } from '../../../../daemon/cli/options/listen.js';
import type { DaemonConfig } from '../../../../daemon/config/daemon-config.js';
import type { ActivatedSocket } from '../../../../daemon/listen/socket-activation.js';

const EXPORTS = new Set(['a', 'b']);
const WEB: ActivatedSocket = { fd: 3, name: 'web' };
const DB: ActivatedSocket = { fd: 4, name: 'db' };

const get = (
  args: ListenArguments,
  config: DaemonConfig = {},
  inherited: readonly ActivatedSocket[] = [],
) => listeners(args, config, EXPORTS, inherited);
const twice = (address: string, again = address) =>
  get({ listen: [address, 'unix:///other', again] });
const refusal = (code: string, message: RegExp) => ({ code, message });

await test('the command line takes precedence over configuration and default', (t) => {
  const listen = ['unix:///config'];
  t.match(get({}).listen, [{ address: { kind: 'tcp', host: '127.0.0.1', port: 10_809 } }]);
  t.match(get({}, { listen }).listen, [{ address: { path: '/config' } }]);
  t.match(get({ listen: ['unix:///x'] }, { listen }).listen, [{ address: { path: '/x' } }]);
  t.equal(get({}, { listen: [] }).listen.length, 0);
  t.throws(() => get({ listen: ['ftp://x'] }), refusal('BAD_CONFIG', /"ftp:\/\/x"/));
  t.end();
});

await test('an address that is given twice is refused', (t) => {
  for (const [address, again, shown] of [
    ['tcp://127.0.0.1', 'tcp://127.0.0.1:10809', 'nbd://127.0.0.1'],
    ['unix:///s', 'unix:///s', 'nbd+unix:///?socket=/s'],
    ['vsock://:7', 'vsock://:7', 'vsock://:7'],
    ['fd://web', 'fd://web', 'fd://web'],
  ] as const) {
    const message = `${shown}: two listeners have this address`;
    t.throws(() => twice(address, again), { code: 'BAD_CONFIG', message });
  }
  t.equal(twice('tcp://127.0.0.1:0').listen.length, 3, 'with port 0 each gets its own port');
  t.equal(twice('tcp://127.0.0.1:1', 'tcp://127.0.0.1:2').listen.length, 3);
  t.end();
});

await test('options take precedence over the configuration of a listener', (t) => {
  const config = {
    listen: [
      { address: 'unix:///s', mode: '0600', owner: 1, users: [5], exports: ['a'] },
      'unix:///t',
    ],
  };
  const args = {
    'socket-mode': '0660',
    'socket-group': 'nbd',
    'allow-user': ['0', 'alice'],
    'max-connections-per-peer': 9,
  };
  const both = { mode: 0o660, group: 'nbd', users: [0, 'alice'], maxConnectionsPerPeer: 9 };
  t.match(get(args, config).listen, [
    { ...both, owner: 1, exports: ['a'] },
    { ...both, owner: undefined, exports: null },
  ]);
  t.end();
});

await test('passed sockets replace the default address, but no configured one', (t) => {
  const alone = get({}, {}, [WEB, DB]);
  t.same(alone.listen, []);
  t.match(alone.activated, [
    { socket: WEB, spec: { exports: null, users: null } },
    { socket: DB, spec: { exports: null, users: null } },
  ]);
  const more = get({ listen: ['unix:///x'] }, {}, [WEB]);
  t.match([more.listen.length, more.activated.length], [1, 1]);
  t.end();
});

await test('fd:// configures a passed socket by its name', (t) => {
  const listen = [{ address: 'fd://web', exports: ['b'], users: ['alice'] }, 'unix:///x'];
  const { listen: own, activated } = get({}, { listen }, [WEB, DB, { fd: 5, name: 'web' }]);
  t.match(own, [{ address: { path: '/x' } }]);
  t.match(activated, [
    { socket: { fd: 3 }, spec: { exports: ['b'], users: ['alice'] } },
    { socket: { fd: 4 }, spec: { exports: null, users: null } },
    { socket: { fd: 5 }, spec: { exports: ['b'], users: ['alice'] } },
  ]);
  t.match(
    get({}, { listen }).listen,
    [{ address: { kind: 'fd' } }, {}],
    'the name is checked when the socket is opened',
  );
  t.end();
});

await test('--stdio opens no listener, but uses passed sockets', (t) => {
  t.same(get({ stdio: true }, { listen: ['unix:///x'] }), { listen: [], activated: [] });
  const { listen, activated } = get({ stdio: true }, { listen: ['unix:///x'] }, [WEB]);
  t.match([listen.length, activated.length], [0, 1]);
  t.end();
});

await test('a listener for an export that does not exist is refused', (t) => {
  const listen = ['unix:///x', { address: 'tcp://x', exports: ['a', 'c'] }];
  t.throws(
    () => get({}, { listen }),
    refusal('BAD_CONFIG', /^listen\.1\.exports\.1: there is no export named "c"$/),
  );
  t.end();
});

await test('options without any effect are refused', (t) => {
  const unix = { listen: ['unix:///x'] };
  const cases: [ListenArguments, RegExp][] = [
    [{ ...unix, 'socket-mode': '888' }, /--socket-mode "888": not octal/],
    [{ ...unix, 'socket-mode': '' }, /--socket-mode "": not octal/],
    [{ ...unix, 'max-connections-per-peer': 0 }, /--max-connections-per-peer 0: not an integer/],
    [{ ...unix, 'max-connections-per-peer': Number.NaN }, /NaN: not an integer/],
    [{ 'socket-mode': '0600' }, /--socket-mode: no unix:\/\/ address/],
    [{ 'socket-owner': 'a' }, /--socket-owner: no unix:\/\/ address/],
    [{ 'socket-group': 'a' }, /--socket-group: no unix:\/\/ address/],
    [
      { 'allow-user': ['0'] },
      /--allow-user: the users of nbd:\/\/127\.0\.0\.1 cannot be identified/,
    ],
    [
      { listen: ['unix:///x', 'vsock://:1'], 'allow-user': ['0'] },
      /--allow-user: the users of vsock:\/\/:1 cannot be identified/,
    ],
  ];
  for (const [args, message] of cases) t.throws(() => get(args), refusal('BAD_ARGUMENT', message));
  t.throws(
    () => get({ 'allow-user': ['0'] }, { listen: [] }),
    refusal('BAD_ARGUMENT', /no Unix socket/),
  );
  t.throws(() => get({ 'socket-mode': '600' }, {}, [WEB]), refusal('BAD_ARGUMENT', /no unix:/));
  t.match(get({ 'allow-user': ['0'] }, {}, [WEB]).activated, [{ spec: { users: [0] } }]);
  t.end();
});
