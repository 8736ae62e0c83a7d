// `npm start`: the demo follows its daemon through an upgrade, says what to do if its port is taken, and removes its folder.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { runDaemon, shortFolder } from '../support/daemon-process.js';
import { socketOf, waitForControl } from '../support/control.js';
import { until } from '../support/until.js';

t.setTimeout(300_000);

const DEMO = fileURLToPath(new URL('../support/demo.js', import.meta.url));

class Demo {
  readonly child: ChildProcess;
  output = '';
  readonly ended: Promise<unknown[]>;

  constructor(test: Test, args: readonly string[]) {
    this.child = spawn(process.execPath, [DEMO, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.on('data', (data: Buffer) => (this.output += data.toString()));
    }
    this.ended = once(this.child, 'exit');
    test.teardown(() => this.child.kill());
  }

  get folder(): string {
    return /in (\/\S+):$/m.exec(this.output)?.[1] ?? '';
  }
}

await t.test(
  'the demo goes on through an upgrade, and Ctrl+C ends the new daemon',
  async (test) => {
    const state = join(shortFolder(test), 'state');
    const socket = join(shortFolder(test), 'socket');
    const demo = new Demo(test, ['--listen', `unix://${socket}`, '--state', state]);
    await waitForControl(socketOf(state));
    await until(() => /ready:/.test(demo.output));
    const old = await runDaemon(['status', '--state', state, '--json']);
    const upgraded = await runDaemon(['upgrade', '--state', state]);
    test.equal(upgraded.code, 0, upgraded.stderr);
    const pid = Number(upgraded.stdout);
    test.ok(Number.isInteger(pid) && pid > 0, upgraded.stdout);
    test.not(pid, (JSON.parse(old.stdout) as { pid: number }).pid);
    // Nothing tells when it has seen the end of the old one; the folder must be there at any time.
    await until(() => / stopped$/m.test(demo.output));
    test.equal(demo.child.exitCode, null);
    test.ok(existsSync(join(demo.folder, 'config.v1.json')), demo.output);
    demo.child.kill('SIGINT');
    const [code] = (await demo.ended) as [number];
    test.equal(code, 0, demo.output);
    test.notOk(existsSync(demo.folder));
    test.notOk(existsSync(socket), 'the new daemon has ended');
  },
);

await t.test('an address that is taken is one line with a remedy', async (test) => {
  const socket = join(shortFolder(test), 'socket');
  const options = ['--listen', `unix://${socket}`, '--state', join(shortFolder(test), 'state')];
  const first = new Demo(test, options);
  await until(() => /ready:/.test(first.output));
  const state = join(shortFolder(test), 'state');
  const second = new Demo(test, ['--listen', `unix://${socket}`, '--state', state]);
  const [code] = (await second.ended) as [number];
  test.equal(code, 1);
  test.match(
    second.output,
    /another process listens there: choose another address with --listen\n/,
  );
  test.match(second.output, /npm start -- --listen /);
  test.notOk(existsSync(second.folder));
  first.child.kill('SIGINT');
  test.match(await first.ended, [0]);
});
