// A program in two bundles: what is in which, and that both have the same modules.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { bundleOf, bundleText, compileProgram } from '../../../../daemon/bundle/compile.js';
import { Rest, restEntryOf } from '../../../../daemon/bundle/rest.js';
import { splitProgram } from '../../../../daemon/bundle/tools/split.js';

const ID = '0'.repeat(32);

const MODULES = {
  'package.json': '{ "type": "module" }',
  'main.js': `
    import { OurError } from './lib/errors.js';
    globalThis.splitTest = async (name) => {
      if (name === 'serve') return (await import('./cli/serve.js')).run();
      if (name === 'metrics') return (await import('./metrics/text.js')).text();
      const { run } = await import('./cli/ls.js');
      try {
        return run(name);
      } catch (error) {
        return error instanceof OurError ? 'ours: ' + error.message : 'another class';
      }
    };`,
  lib: {
    'errors.js': `
      globalThis.splitTestLoads = (globalThis.splitTestLoads ?? 0) + 1;
      export class OurError extends Error {}
      export const ONLY_START = 'text of errors';
      export default function named() { return 'a default'; }`,
    'late.js': `export const late = () => 'from late';`,
  },
  cli: {
    'serve.js': `
      import { late } from '../lib/late.js';
      export const run = async () => late() + (await import('../image/files.js')).kind();`,
    'ls.js': `
      import named, { OurError } from '../lib/errors.js';
      import { late } from '../lib/late.js';
      import { only } from './only-ls.js';
      export const run = (name) => {
        if (name === 'fail') throw new OurError(only());
        return named() + ', ' + late();
      };`,
    'only-ls.js': `export const only = () => 'of the rest';`,
  },
  image: { 'files.js': `export const kind = () => ', files';` },
  metrics: { 'text.js': `export const text = () => 'metrics';` },
};

/** What the program leaves in the global object. */
interface World {
  splitTest: (name: string) => Promise<string>;
  splitTestLoads: number;
}

await test('a program in two bundles', async (t) => {
  const folder = t.testdir({ modules: MODULES });
  const { start, rest } = await splitProgram('main.js', join(folder, 'modules'), () => ID);
  for (const text of ['of the rest', ', files']) {
    t.notOk(start.text.includes(text), text);
    t.ok(rest.text.includes(text), text);
  }
  for (const text of ['text of errors', 'from late', 'metrics']) {
    t.notOk(rest.text.includes(text), text);
  }
  t.match([...rest.files].join(), 'only-ls.js');
  t.notMatch([...rest.files].join(), 'errors.js');
  t.notMatch(rest.text, 'ONLY_START', 'what the rest does not use is not offered');

  const entry = join(folder, 'main.js');
  writeFileSync(bundleOf(restEntryOf(entry)).text, bundleText(rest.text, ID));
  const program = compileProgram({ entry, text: bundleText(start.text, ID), cache: null });
  const world = globalThis as unknown as Partial<World>;
  t.teardown(() => {
    delete world.splitTest;
    delete world.splitTestLoads;
  });
  program.run(undefined, new Rest(entry));
  const run = world.splitTest as World['splitTest'];
  t.equal(await run('metrics'), 'metrics');
  t.equal(await run('ls'), 'a default, from late');
  t.equal(await run('fail'), 'ours: of the rest');
  t.equal(await run('serve'), 'from late, files');
  t.equal(world.splitTestLoads, 1, 'a module is there once');
});
