// The table of native/ and the calls of the addon: what is missing on either side is reported.
import { test } from 'tap';
import { checkNativeCalls, checkNativeTable } from '../../walls/native.js';

const TABLE = [
  '| `other` | a table before |',
  '',
  '| files in `native/src` | why |',
  '| --- | --- |',
  '| `socket`, `genl` | `recv` |',
  '',
].join('\n');

await test('the table has each file of native/src, and no other', (t) => {
  const sources = ['socket.cc', 'socket.h', 'socket-binding.cc', 'genl.h'];
  t.same(checkNativeTable(sources, TABLE), []);
  t.match(checkNativeTable([...sources, 'recv.cc'], TABLE), [/has no recv$/]);
  t.match(checkNativeTable(['socket.cc'], TABLE), [/has genl, and native\/src does not/]);
  t.equal(checkNativeTable(sources, '').length, 2, 'no table');
  t.end();
});

const check = (comment: string, caller: string): string[] =>
  checkNativeCalls(
    new Map([
      [
        'daemon/native/a.ts',
        `interface A {\n  /** One. */\n  one(fd: number): number;\n${comment}  two(\n    at: number,\n  ): number;\n}\n`,
      ],
    ]),
    [caller],
  );

await test('what only tests call has a reason', (t) => {
  t.same(check('', 'a.one(1); a.two(2)'), []);
  t.match(check('', 'a.two(2)'), [/daemon\/native\/a\.ts: nothing in daemon\/ uses one;/]);
  t.match(check('', 'a.one(1); a.twofold()'), [/ uses two;/]);
  t.same(check('  /** @internal for tests: x */\n', 'a.one(1)'), []);
  t.equal(check('  /** @internal */\n', 'a.one(1)').length, 1, 'without a reason');
  t.end();
});
