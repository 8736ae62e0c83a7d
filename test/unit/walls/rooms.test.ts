// The walls between the folders of daemon/: which imports they allow, and which they refuse.

import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { test } from 'tap';
import { moduleOf, readModules } from '../../walls/modules.js';
import { checkRooms, findUnused, readPlan, type Plan } from '../../walls/rooms.js';

const ROOT = fileURLToPath(new URL('../../../..', import.meta.url));

const PLAN: Plan = {
  rooms: {
    cli: { is: 'commands', mayImport: ['nbd', 'lib'], packages: ['yargs'] },
    nbd: { is: 'protocol', mayImport: ['lib'], packages: [] },
    lib: { is: 'small things', mayImport: [], packages: [] },
  },
};

function check(files: Record<string, string>, plan = PLAN): string[] {
  const modules = Object.entries(files).map(([path, text]) => moduleOf(path, text));
  return checkRooms(modules, plan);
}

await test('imports that the plan allows', (t) => {
  const problems = check({
    'daemon/cli/serve.ts':
      "import { x } from '../nbd/x.js';\nimport yargs from 'yargs';\nimport fs from 'node:fs';\n",
    'daemon/nbd/x.ts': "import type { y } from '../lib/y.js';\nimport { z } from './z.js';\n",
    'daemon/nbd/z.ts': 'export const z = 1;\n',
    'daemon/lib/y.ts': 'export type y = 1;\n',
  });
  t.same(problems, []);
  t.end();
});

await test('a room that the plan does not name is refused, and imports of it', (t) => {
  const problems = check({
    'daemon/registry/client.ts': "import { EXIT } from '../cli/exit-codes.js';\n",
    'daemon/nbd/x.ts': "import { client } from '../registry/client.js';\n",
  });
  t.same(problems, [
    'daemon/registry/client.ts:1: rooms.json has no room registry',
    'daemon/nbd/x.ts:1: nbd may not import registry',
  ]);
  t.end();
});

await test('imports from a lower room into a higher one are refused in every form', (t) => {
  for (const text of [
    "import { a } from '../cli/a.js';",
    "import type { A } from '../cli/a.js';",
    "import {\n  a,\n  b,\n} from '../cli/a.js';",
    "export { a } from '../cli/a.js';",
    "export * from '../cli/a.js';",
    "import '../cli/a.js';",
    "const a = await import('../cli/a.js');",
    "let a: import('../cli/a.js').A;",
    "import { a } from '../../daemon/cli/a.js';",
    'import { a } from "../cli/a.js";',
  ]) {
    const problems = check({ 'daemon/nbd/x.ts': text });
    t.match(problems, [/^daemon\/nbd\/x\.ts:\d: nbd may not import cli$/], text);
    t.equal(problems.length, 1);
  }
  t.end();
});

await test('imports from outside daemon/, and of computed names, are refused', (t) => {
  t.same(check({ 'daemon/nbd/x.ts': "import { a } from '../../test/support/a.js';" }), [
    'daemon/nbd/x.ts:1: nbd may not import test/support/a.ts',
  ]);
  t.same(check({ 'daemon/nbd/x.ts': 'const a = await import(name);' }), [
    'daemon/nbd/x.ts:1: import() of a name that is not written out',
  ]);
  t.end();
});

await test('packages that the room may not use are refused', (t) => {
  t.same(check({ 'daemon/nbd/x.ts': "import yargs from 'yargs/helpers';" }), [
    'daemon/nbd/x.ts:1: nbd may not import the package yargs',
  ]);
  t.end();
});

await test('circles of files are refused, also of types only', (t) => {
  const problems = check({
    'daemon/nbd/a.ts': "import type { B } from './b.js';",
    'daemon/nbd/b.ts': "import type { C } from './c.js';",
    'daemon/nbd/c.ts': "import type { A } from './a.js';",
  });
  t.same(problems, [
    'daemon/nbd/a.ts:1: circle: daemon/nbd/a.ts -> daemon/nbd/b.ts -> daemon/nbd/c.ts -> daemon/nbd/a.ts',
  ]);
  t.end();
});

await test('a plan with a circle of rooms, or with an unknown room, is refused', (t) => {
  const rooms = {
    ...PLAN.rooms,
    lib: { is: 'small things', mayImport: ['cli', 'kitchen'], packages: [] },
  };
  const problems = check({}, { rooms });
  t.match(problems, [/no room "kitchen"/, /circle: cli -> nbd -> lib -> cli/]);
  t.end();
});

await test("the project's own plan refuses a new room and an import of it", (t) => {
  const plan = readPlan(join(ROOT, 'test/walls/rooms.json'));
  const modules = readModules(ROOT, 'daemon');
  t.same(checkRooms(modules, plan), []);
  const added = [
    moduleOf('daemon/attic/client.ts', "import { x } from '../cli/exit-codes.js';"),
    moduleOf('daemon/nbd/added.ts', "import { x } from '../attic/client.js';"),
  ];
  t.equal(checkRooms([...modules, ...added], plan).length, 2);
  t.end();
});

await test('a plan that allows unused imports is reported', (t) => {
  const modules = [
    moduleOf('daemon/cli/serve.ts', "import { x } from '../nbd/x.js';"),
    moduleOf('daemon/nbd/x.ts', "import type { y } from '../lib/y.js';"),
  ];
  t.same(findUnused(modules, PLAN), [
    'rooms.json: cli does not import lib: take it out',
    'rooms.json: cli does not import yargs: take it out',
  ]);
  const plan = readPlan(join(ROOT, 'test/walls/rooms.json'));
  t.same(findUnused(readModules(ROOT, 'daemon'), plan), [], "the project's own plan has none");
  t.end();
});
