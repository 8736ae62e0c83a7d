// Sets of xattrs: equal ones are one.
import { test } from 'tap';
import { XattrSets } from '../../../daemon/tree/xattrs.js';

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');

await test('sets with the same content have one number, in whatever order it comes', (t) => {
  const sets = new XattrSets();
  const first = sets.intern(
    new Map([
      ['user.b', bytes('2')],
      ['user.a', bytes('1')],
    ]),
  );
  const second = sets.intern(
    new Map([
      ['user.a', bytes('1')],
      ['user.b', bytes('2')],
    ]),
  );
  t.same(first, { number: 0, isNew: true });
  t.same(second, { number: 0, isNew: false });
  t.same(sets.all[0]?.names, ['user.a', 'user.b']);
  t.equal(sets.all[0]?.toMap().get('user.b')?.[0], 0x32);
  t.end();
});

await test('no two different sets are taken for one', (t) => {
  const sets = new XattrSets();
  const different: [string, string][][] = [
    [['user.a', '']],
    [['user.a', '1']],
    [['user.a1', '']],
    [['user.a', '1:user.b1:']],
    [
      ['user.a', '1'],
      ['user.b', ''],
    ],
    [['user.a', '\xff']],
  ];
  for (const pairs of different) {
    const set = new Map(pairs.map(([name, value]) => [name, bytes(value)]));
    t.ok(sets.intern(set).isNew, JSON.stringify(pairs));
  }
  t.end();
});

await test('a set keeps its values when the memory of its reader is used again', (t) => {
  const sets = new XattrSets();
  const memory = Buffer.from('x');
  sets.intern(new Map([['user.a', memory]]));
  memory.fill(0);
  t.equal(sets.all[0]?.values[0]?.[0], 0x78);
  t.end();
});
