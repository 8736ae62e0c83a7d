// Users and groups by name and by number.
import { readFileSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { groupId, userId } from '../../../daemon/listen/accounts.js';

await test('users and groups by name and by number', (t) => {
  t.equal(userId('root'), 0);
  t.equal(groupId('root'), 0);
  t.equal(userId(1234), 1234);
  t.equal(groupId(0), 0);
  const { username, uid } = userInfo();
  t.equal(userId(username), uid);
  for (const line of readFileSync('/etc/group', 'utf8').trim().split('\n').slice(0, 5)) {
    const [name = '', , gid] = line.split(':');
    t.equal(groupId(name), Number(gid), name);
  }
  t.end();
});

await test('users and groups that do not exist', (t) => {
  for (const name of [
    '',
    'there is no such user',
    'x'.repeat(257),
    'ü',
    '0',
    '--help',
    'root\n',
    'root:x',
  ]) {
    const message = (what: string): string =>
      `${what} ${JSON.stringify(name)}: there is no such name`;
    t.throws(() => userId(name), { code: 'NOT_FOUND', message: message('user') }, name);
    t.throws(() => groupId(name), { code: 'NOT_FOUND', message: message('group') }, name);
  }
  t.end();
});

/** Puts a program in the place of getent. */
function replaceGetent(t: Test, script: string): void {
  const folder = t.testdir();
  writeFileSync(join(folder, 'getent'), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  const before = process.env['PATH'];
  process.env['PATH'] = folder;
  t.teardown(() => {
    process.env['PATH'] = before;
  });
}

await test('output of getent that cannot be parsed', async (t) => {
  for (const script of ['echo root', 'echo root:x:zero:0', 'echo other:x:5:5', 'exit 3']) {
    await t.test(script, (each) => {
      replaceGetent(each, script);
      each.throws(() => userId('root'), {
        code: 'IO',
        message: /^user "root": getent: unexpected answer, exit code [03]$/,
      });
      each.end();
    });
  }
});

await test('a system without getent', (t) => {
  const before = process.env['PATH'];
  process.env['PATH'] = t.testdir();
  t.teardown(() => {
    process.env['PATH'] = before;
  });
  t.throws(() => userId('root'), { code: 'IO', message: /^user "root": getent: .*ENOENT/ });
  t.end();
});
