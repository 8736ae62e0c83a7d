// Cases of the systemd tests that share a machine.
import { test } from 'tap';
import { CASES } from '../../systemd/cases.js';
import { machinesOf } from '../../systemd/machines.js';
import type { HostCase } from '../../systemd/host-case.js';

const namesOf = (cases: readonly HostCase[]): string[][] =>
  machinesOf(cases).map((machine) => machine.map(({ name }) => name));

function hostCase(name: string, continues?: string): HostCase {
  const none = { name, before: () => '', run: () => Promise.resolve() };
  return continues === undefined ? none : { ...none, continues: { name: continues } };
}

await test('a case continues on the machine of another one, if that is wanted, too', (t) => {
  const cases = [hostCase('a'), hostCase('b'), hostCase('a2', 'a'), hostCase('a3', 'a2')];
  t.same(namesOf(cases), [['a', 'a2', 'a3'], ['b']]);
  t.same(namesOf(cases.slice(1)), [['b'], ['a2', 'a3']]);
  t.end();
});

await test('two cases cannot continue after the same one', (t) => {
  t.same(namesOf([hostCase('a'), hostCase('b', 'a'), hostCase('c', 'a')]), [['a', 'b'], ['c']]);
  t.end();
});

await test('every case that continues after another finds it earlier in the list', (t) => {
  const names = CASES.map(({ name }) => name);
  for (const [i, { name, continues }] of CASES.entries()) {
    if (continues) t.ok(names.slice(0, i).includes(continues.name), name);
  }
  t.equal(new Set(names).size, names.length, 'names are unique');
  const last = machinesOf(CASES).map((machine) => machine.slice(0, -1));
  t.notOk(
    last.flat().some(({ powerOff }) => powerOff),
    'only the last case of a machine powers it off',
  );
  t.end();
});
