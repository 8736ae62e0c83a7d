// The walls between the folders of daemon/: what they let through, and what they refuse.

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

await test('lets through what the plan allows', (t) => {
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

await test('refuses a room that the plan does not name, and imports of it', (t) => {
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

await test('refuses an import upwards, whichever form it has', (t) => {
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

await test('refuses what is outside of daemon/, and names that are not written out', (t) => {
  t.same(check({ 'daemon/nbd/x.ts': "import { a } from '../../test/support/a.js';" }), [
    'daemon/nbd/x.ts:1: nbd may not import test/support/a.ts',
  ]);
  t.same(check({ 'daemon/nbd/x.ts': 'const a = await import(name);' }), [
    'daemon/nbd/x.ts:1: import() of a name that is not written out',
  ]);
  t.end();
});

await test('refuses a package that the room may not use', (t) => {
  t.same(check({ 'daemon/nbd/x.ts': "import yargs from 'yargs/helpers';" }), [
    'daemon/nbd/x.ts:1: nbd may not import the package yargs',
  ]);
  t.end();
});

await test('refuses a circle of files, also one of types only', (t) => {
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

await test('refuses a plan whose rooms are a circle, or that names a room which is not there', (t) => {
  const rooms = {
    ...PLAN.rooms,
    lib: { is: 'small things', mayImport: ['cli', 'kitchen'], packages: [] },
  };
  const problems = check({}, { rooms });
  t.match(problems, [/no room "kitchen"/, /circle: cli -> nbd -> lib -> cli/]);
  t.end();
});

await test('the plan of this repository refuses a new room and an import of it', (t) => {
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

await test('a plan that allows more than the modules import', (t) => {
  const modules = [
    moduleOf('daemon/cli/serve.ts', "import { x } from '../nbd/x.js';"),
    moduleOf('daemon/nbd/x.ts', "import type { y } from '../lib/y.js';"),
  ];
  t.same(findUnused(modules, PLAN), [
    'rooms.json: cli does not import lib: take it out',
    'rooms.json: cli does not import yargs: take it out',
  ]);
  const plan = readPlan(join(ROOT, 'test/walls/rooms.json'));
  t.same(findUnused(readModules(ROOT, 'daemon'), plan), [], 'nor does that of this repository');
  t.end();
});
