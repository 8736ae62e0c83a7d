// Test files that share a process: each is reported by itself, whatever it does to the process.
import root, { test, type Test } from 'tap';
import { bundleTap } from '../../runner/tap-bundle.js';
import { countsOf } from '../../runner/tap-output.js';
import { SharedProcess } from '../../runner/shared-process.js';
import type { Outcome } from '../../runner/test-process.js';
import { Turns } from '../../runner/turns.js';

/** Longer than any file takes that ends. */
const LONG_MS = 600_000;

const FILES = {
  'good.test.js': `import { test } from 'tap';
await test('one', async (t) => { t.pass(); t.ok(t.testdir().includes('good.test.js-one')); });`,
  'pid.test.js': `import t from 'tap';
t.pass(process.pid + ' ' + process.cwd());
setTimeout(() => console.log('# after its last line'), 1);`,
  'server.test.js': `import { createServer } from 'node:net';
import t, { test } from 'tap';
const server = createServer().listen(0);
t.teardown(() => server.close());
await test('it listens', async (t) => { t.ok(server.listening); });`,
  'fails.test.js': `import { test } from 'tap';
await test('numbers', async (t) => { t.equal(1, 2); });`,
  'throws.test.js': `import { test } from 'tap';
setTimeout(() => { throw new Error('thrown later'); }, 1);
await test('one', async (t) => { t.pass(); });`,
  'waits.test.js': `import { test } from 'tap';
await test('one', async (t) => { t.pass(); });
await new Promise(() => undefined);`,
  'syntax.test.js': `import { test } from 'tap'; await test(;`,
  'exits.test.js': `import { test } from 'tap';
await test('one', async (t) => { t.pass(); });
process.exit(0);`,
  'leaves.test.js': `import { test } from 'tap';
process.env.LEFT_BY_A_TEST = '1';
process.exitCode = 3;
globalThis.leftByATest = true;
await test('one', async (t) => { t.pass(); });`,
  'hangs.test.js': `import { test } from 'tap';
await test('one', async (t) => { t.pass(); });
setInterval(() => undefined, 1000);`,
  'spoils.test.js': `import { test } from 'tap';
Array.spoiled = true;
await test('one', async (t) => { t.pass(); });`,
  'spoiled.test.js': `import { test } from 'tap';
await test('one', async (t) => { t.notOk(Array.spoiled); });`,
};

/** What starts something, by what it starts. */
const STARTERS = {
  'process.test.js': `import { spawn } from 'node:child_process';
import { test } from 'tap';
await test('one', (t) => { spawn('true').on('close', () => t.end()); });`,
  'sync.test.js': `import { execFileSync } from 'node:child_process';
import { test } from 'tap';
await test('one', async (t) => { t.equal(execFileSync('echo').toString(), '\\n'); });`,
  'thread.test.js': `import { Worker } from 'node:worker_threads';
import { test } from 'tap';
await test('one', (t) => { new Worker('', { eval: true }).on('exit', () => t.end()); });`,
};

const folder = root.testdir({
  'package.json': '{ "type": "module" }',
  ...FILES,
  out: { test: { unit: STARTERS, component: { ...STARTERS } } },
});
await bundleTap(folder);

function turnsOf(t: Test, timeoutMs = LONG_MS): Turns {
  const turns = new Turns(() => false, timeoutMs, { folder, environment: { TAP_CWD: folder } });
  t.teardown(() => turns.end());
  return turns;
}

const idOf = ({ output }: Outcome): string => /ok 1 - (.*)/.exec(output)?.[1] ?? '';

await test('files of one process: each has its own output and counts', async (t) => {
  const turns = turnsOf(t);
  const first = await turns.run('pid.test.js');
  t.equal(first.code, 0, first.output);
  t.match(first.output, '# after its last line');
  t.equal(idOf(first).split(' ')[1], folder);
  const good = await turns.run('good.test.js');
  t.same(countsOf(good.output), { total: 2, pass: 2, fail: 0, skip: 0, todo: 0 }, good.output);
  const server = await turns.run('server.test.js');
  t.equal(server.code, 0, server.output);
  const last = await turns.run('pid.test.js');
  // A module is loaded once.
  t.match(last.output, 'no tests found');
});

await test('a file that fails is the last of its process', async (t) => {
  const turns = turnsOf(t);
  const fails = await turns.run('fails.test.js');
  t.not(fails.code, 0);
  t.match(fails.output, /^it fails in a process of its own, too\n/);
  t.match(fails.output, /not ok 1 - should be equal[^]*fails\.test\.js/);
  t.notOk(fails.isLate);
  const exits = await turns.run('exits.test.js');
  t.equal(exits.code, 1);
  t.match(exits.output, 'the process has ended: exit code 0');
  const good = await turns.run('good.test.js');
  t.equal(good.code, 0, 'the next file has another process');
});

await test('a process names what is wrong with a file', async (t) => {
  // One process for all: nothing else is left by those that come before.
  const shared = new SharedProcess(LONG_MS, { folder, environment: { TAP_CWD: folder } });
  t.teardown(() => shared.end());
  const cases: readonly (readonly [string, RegExp])[] = [
    ['waits', /it has ended before its last line/],
    ['syntax', /SyntaxError/],
    ['leaves', /it has changed globalThis\.leftByATest\n/],
    ['throws', /thrown later/],
  ];
  for (const [name, message] of cases) {
    const outcome = await shared.run(`${name}.test.js`);
    t.not(outcome.code, 0, name);
    t.match(outcome.output, message, name);
    t.notOk(outcome.isLate, name);
    if (name !== 'leaves') continue;
    for (const what of ['$LEFT_BY_A_TEST', 'the exit code'])
      t.match(outcome.output, `it has changed ${what}\n`);
  }
});

await test('a file that fails because of another one is a failure of isolation', async (t) => {
  const turns = turnsOf(t);
  t.equal((await turns.run('spoils.test.js')).code, 0);
  const spoiled = await turns.run('spoiled.test.js');
  t.equal(spoiled.code, 1);
  t.match(
    spoiled.output,
    /^FAILURE OF ISOLATION: it passes in a process of its own\. .*: spoils\.test\.js\n/,
  );
});

await test('a file that does not end is killed', async (t) => {
  const turns = turnsOf(t, 500);
  const hangs = await turns.run('hangs.test.js');
  t.ok(hangs.isLate);
  t.equal(hangs.code, 1);
});

await test('a unit test starts no process and no thread, a component test may', async (t) => {
  for (const isAlone of [false, true]) {
    for (const name of Object.keys(STARTERS)) {
      const turns = new Turns(() => isAlone, LONG_MS, { folder, environment: { TAP_CWD: folder } });
      t.teardown(() => turns.end());
      const component = await turns.run(`out/test/component/${name}`);
      t.equal(component.code, 0, component.output);
      const unit = await turns.run(`out/test/unit/${name}`);
      t.equal(unit.code, 1, unit.output);
      const kind = name === 'thread.test.js' ? 'thread' : 'process';
      t.match(
        unit.output,
        `it has started a ${kind}: a test that does belongs below test/component`,
      );
    }
  }
});
