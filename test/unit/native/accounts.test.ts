// Users and groups by name, from JavaScript.
import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import t from 'tap';
import { ENOENT } from '../../../daemon/lib/errno.js';
import { accounts } from '../../../daemon/native/accounts.js';

await t.test('users and groups', async (test) => {
  test.equal(accounts.userId('root'), 0);
  test.equal(accounts.groupId('root'), 0);
  const { username, uid } = userInfo();
  test.equal(accounts.userId(username), uid);
  for (const line of readFileSync('/etc/group', 'utf8').trim().split('\n')) {
    const [name = '', , gid] = line.split(':');
    test.equal(accounts.groupId(name), Number(gid), name);
  }
});

await t.test('what is none', async (test) => {
  for (const name of [
    '',
    'no such user',
    'x'.repeat(256),
    'x'.repeat(257),
    'x'.repeat(5000),
    'ü',
  ]) {
    test.equal(accounts.userId(name), -ENOENT, name.slice(0, 20));
    test.equal(accounts.groupId(name), -ENOENT, name.slice(0, 20));
  }
  test.throws(() => accounts.userId('a\0b'), RangeError);
  test.throws(() => accounts.groupId(0 as unknown as string), TypeError);
});
