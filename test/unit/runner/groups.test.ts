// Groups of test files that share a process.
import { test } from 'tap';
import { groupsOf } from '../../runner/groups.js';

const filesOf = (folder: string, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `out/test/unit/${folder}/${i + 100}.test.js`);

await test('whole folders, until there are enough files', async (t) => {
  const [a, b, c, d] = [filesOf('a', 3), filesOf('b', 39), filesOf('c', 50), filesOf('d', 1)];
  t.same(
    groupsOf([...a, ...b, ...c, ...d], () => false),
    [[...a, ...b], c, d],
  );
});

await test('files that get a process of their own', async (t) => {
  const [a, b] = [filesOf('a', 3), filesOf('b', 2)];
  const own = a[1] as string;
  t.same(
    groupsOf([...a, ...b], (file) => file === own),
    [[a[0], a[2], ...b], [own]],
  );
  t.same(
    groupsOf([], () => true),
    [],
  );
});
