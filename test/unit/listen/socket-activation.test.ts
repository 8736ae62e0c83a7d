// LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES: parsed as in sd_listen_fds(3), and checked. With a real process: test/e2e.
import { test } from 'tap';
import {
  MAX_ACTIVATED,
  activatedSockets,
  takeActivatedSockets,
} from '../../../daemon/listen/socket-activation.js';

const PID = 4711;
const get = (each: NodeJS.ProcessEnv) => activatedSockets(each, PID);
const env = (fds: string, names?: string, pid = `${PID}`) => ({
  LISTEN_FDS: fds,
  LISTEN_PID: pid,
  ...(names !== undefined && { LISTEN_FDNAMES: names }),
});

await test('passed sockets and their names', (t) => {
  t.same(get(env('1')), [{ fd: 3, name: 'unknown' }]);
  t.same(get(env('2', 'web:db')), [
    { fd: 3, name: 'web' },
    { fd: 4, name: 'db' },
  ]);
  t.same(get(env('2', ':db')), [
    { fd: 3, name: 'unknown' },
    { fd: 4, name: 'db' },
  ]);
  t.equal(get(env(`${MAX_ACTIVATED}`)).length, MAX_ACTIVATED);
  t.end();
});

await test('no passed sockets, or sockets for another process', (t) => {
  const cases = [{}, env('0'), env('0', ''), env('1', 'a', '1'), { LISTEN_FDS: '1' }];
  for (const each of [...cases, { LISTEN_PID: `${PID}` }, env('nonsense', 'x:y', '1')]) {
    t.same(get(each), [], JSON.stringify(each));
  }
  t.end();
});

await test('invalid variables are errors', (t) => {
  const cases: [NodeJS.ProcessEnv, RegExp][] = [
    [env('999999'), /^LISTEN_FDS: "999999" is above 256$/],
    [env('99999999999999999999999'), /^LISTEN_FDS: .* is above 256$/],
    [env('-1'), /^LISTEN_FDS: "-1" is not a number$/],
    [env(''), /^LISTEN_FDS: "" is not a number$/],
    [env('1x'), /^LISTEN_FDS: "1x" is not a number$/],
    [env('0x1'), /^LISTEN_FDS: "0x1" is not a number$/],
    [env('1', undefined, 'me'), /^LISTEN_PID: "me" is not a number$/],
    [env('2', 'web'), /^LISTEN_FDNAMES: "web" has 1 names for 2 sockets$/],
    [env('1', 'web:'), /^LISTEN_FDNAMES: "web:" has 2 names for 1 sockets$/],
    [env('2', ''), /^LISTEN_FDNAMES: "" has 1 names for 2 sockets$/],
  ];
  for (const [each, message] of cases) {
    t.throws(() => get(each), { code: 'BAD_CONFIG', message });
  }
  t.end();
});

await test('the variables are removed from the environment in every case', (t) => {
  for (const given of [env('1', 'a', '1'), env('0'), env('999999'), env('1', 'a:b')]) {
    const variables: NodeJS.ProcessEnv = { ...given, PATH: '/bin' };
    try {
      t.same(takeActivatedSockets(variables, PID), []);
    } catch (error) {
      t.match(error, { code: 'BAD_CONFIG' });
    }
    t.same(variables, { PATH: '/bin' });
  }
  t.end();
});
