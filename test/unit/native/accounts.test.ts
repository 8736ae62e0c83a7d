// Users and groups by name, from JavaScript.
import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import t from 'tap';
import { ENOENT, native } from '../../../daemon/native/binding.js';

await t.test('users and groups', async (test) => {
  test.equal(native.userId('root'), 0);
  test.equal(native.groupId('root'), 0);
  const { username, uid } = userInfo();
  test.equal(native.userId(username), uid);
  for (const line of readFileSync('/etc/group', 'utf8').trim().split('\n')) {
    const [name = '', , gid] = line.split(':');
    test.equal(native.groupId(name), Number(gid), name);
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
    test.equal(native.userId(name), -ENOENT, name.slice(0, 20));
    test.equal(native.groupId(name), -ENOENT, name.slice(0, 20));
  }
  test.throws(() => native.userId('a\0b'), RangeError);
  test.throws(() => native.groupId(0 as unknown as string), TypeError);
});
