// tap as one module is tap: same results, same stack traces, and the test's own folder.
import { spawnSync } from 'node:child_process';
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { ONE_MODULE, bundleTap } from '../../runner/tap-bundle.js';
import { countsOf } from '../../runner/tap-output.js';

const TEST = `import t, { test } from 'tap';
await test('inside', (t) => {
  t.equal(1, 1);
  t.same({ a: 1 }, { a: 2 });
  t.throws(() => { throw new Error('x'); });
  t.teardown(() => console.log('# torn down'));
  t.end();
});
t.pass('outside');
`;

/** Errors that no code catches. Each belongs to a test that never ends by itself, while another one runs. */
const UNCAUGHT = `import { EventEmitter } from 'node:events';
import { createServer, connect } from 'node:net';
import t, { test } from 'tap';
t.jobs = 2;
const long = test('long', async (t) => {
  await new Promise((done) => setTimeout(done, 300));
  t.pass();
});
for (const [name, fail] of Object.entries({
  timer: () => setTimeout(() => { throw new Error('of a timer'); }, 1),
  rejection: () => void Promise.resolve().then(async () => { await null; throw new Error('of a promise'); }),
  socket: () => {
    const server = createServer((socket) => { server.close(); socket.destroy(); throw new Error('of a socket'); });
    server.listen(0, () => connect(server.address().port).on('error', () => undefined));
  },
})) await test(name, () => new Promise(() => fail()));
await long;
await test('good', async (t) => { t.pass(); });
`;

await test('a test file below the folder gets the module, and its failures are readable', async (t) => {
  const folder = t.testdir({
    'package.json': '{ "type": "module" }',
    'a.test.js': TEST,
    'uncaught.test.js': UNCAUGHT,
    'crash.test.js':
      "import t from 'tap';\nt.pass();\nsetTimeout(() => { throw new Error('of the file'); }, 1);\n",
  });
  await bundleTap(folder);
  const made = (): number =>
    statSync(join(folder, 'node_modules/@tapjs/one-module/index.js')).mtimeMs;
  const before = made();
  await Promise.all([bundleTap(folder), bundleTap(folder)]);
  t.equal(made(), before, 'what is the same stays, so that no test finds half of it');
  // Below `npx tap` a test file leaves out its last lines.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^_?TAP/.test(name)),
  );
  const run = (options: readonly string[], file = 'a.test.js') =>
    spawnSync(process.execPath, [...options, file], { cwd: folder, encoding: 'utf8', env });
  const { stdout } = run(ONE_MODULE);
  t.same(countsOf(stdout), { total: 4, pass: 3, fail: 1, skip: 0, todo: 0 });
  t.match(stdout, /a\.test\.js:4:5/);
  t.match(stdout, '# torn down');
  t.notMatch(stdout, 'one-module', 'its own frames are not in stack traces');
  const uncaught = run(ONE_MODULE, 'uncaught.test.js').stdout;
  for (const [name, error] of [
    ['timer', 'of a timer'],
    ['rejection', 'of a promise'],
    ['socket', 'of a socket'],
  ] as const)
    t.match(
      uncaught,
      new RegExp(`Subtest: ${name}\\n +not ok 1 - ${error}[^]*\\nnot ok \\d - ${name}`),
    );
  t.match(uncaught, /\nok \d - long[^]*\nok \d - good/);
  t.match(run(ONE_MODULE, 'crash.test.js').stdout, /not ok 2 - of the file/);
  writeFileSync(join(folder, 'node_modules/@tapjs/one-module/index.js'), 'export {}');
  t.match(run(ONE_MODULE).stderr, 'one-module', 'it is what the file imports');
  t.same(countsOf(run([]).stdout), countsOf(stdout), 'but not without the condition');
});
