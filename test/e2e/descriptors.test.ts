// A limit on open files that is too low for the daemon: it says what it needs and ends. It never becomes ready without
// being able to serve.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { MIN_DESCRIPTORS } from '../../daemon/server/descriptor-limit.js';
import { DaemonProcess, shortFolder } from '../support/daemon-process.js';
import { writeRaw } from '../support/e2e-images.js';
import { RawNbdClient } from '../support/nbd-client.js';
import { measured } from '../support/program.js';
import { requireTool, runTool } from '../support/tools.js';

/** The bundle, also when coverage is measured: single modules need more descriptors to load. */
const BUNDLE = fileURLToPath(new URL('../../bundle/main.js', import.meta.url));

const folder = shortFolder(t);
const image = join(folder, 'raw.img');
const raw = writeRaw(image, 5, 102_400);

async function serveWith(openFiles: number, ...args: string[]) {
  const socket = `unix://${join(folder, 'nbd.sock')}`;
  const serve = ['serve', ...args, '--listen', socket, '--state', join(folder, 'state')];
  const limit = `--nofile=${openFiles}:${openFiles}`;
  const program = ['env', '-u', 'NODE_OPTIONS', process.execPath, BUNDLE];
  return runTool('prlimit', [limit, ...program, ...serve], { timeout: 180_000 });
}

/** The number of open files that Node.js needs to run any module: 20 to 24, depending on its version. */
async function leastOfNode(): Promise<number> {
  const script = join(folder, 'empty.js');
  writeFileSync(script, '');
  for (let openFiles = 16; ; openFiles++) {
    const limit = `--nofile=${openFiles}:${openFiles}`;
    const { code } = await runTool('prlimit', [limit, process.execPath, script]);
    if (code === 0) return openFiles;
    if (openFiles === MIN_DESCRIPTORS) throw new Error('Node.js needs more than we do');
  }
}

await t.test('below the minimum the daemon does not start', async (test) => {
  if (!requireTool(test, 'prlimit')) return;
  const least = await leastOfNode();
  for (const openFiles of [least, 24, 26, 28, 30, 32, 48, MIN_DESCRIPTORS - 1]) {
    if (openFiles < least) continue;
    const { code, stderr } = await serveWith(openFiles, image);
    test.equal(code, 1);
    const message = new RegExp(
      `^overlaybd-nbd: .* needs at least ${MIN_DESCRIPTORS} to serve.*\\n$`,
    );
    test.match(stderr, message, `with ${openFiles}: one line, and it never becomes ready`);
  }
});

await t.test('too few descriptors for a reactor thread are an error', async (test) => {
  if (!requireTool(test, 'prlimit')) return;
  const pool = new URL('../../daemon/reactor/pool.js', import.meta.url).href;
  // As many as are open, and two: a thread needs more.
  const script = `import { spawnSync } from 'node:child_process';
    import { readdirSync } from 'node:fs';
    const { ReactorPool } = await import(${JSON.stringify(pool)});
    const most = readdirSync('/proc/self/fd').length + 1;
    spawnSync('prlimit', ['--pid', String(process.pid), '--nofile=' + most + ':' + most]);
    const reactors = new ReactorPool(1, null, { log: () => undefined });
    await reactors.started.then(() => console.log('started'), (error) => console.log(error.message));
    process.exit(0);`;
  const { stdout } = await runTool(process.execPath, ['--input-type=module', '-e', script]);
  test.match(stdout, /^no thread for connections can be started: .*EMFILE/);
});

await t.test('at the minimum the daemon serves', async (test) => {
  if (!requireTool(test, 'prlimit')) return;
  const daemon = await DaemonProcess.start(test, [image], {
    openFiles: measured ? 4 * MIN_DESCRIPTORS : MIN_DESCRIPTORS,
  });
  const clients: RawNbdClient[] = [];
  for (let i = 0; i < 8; i++) clients.push(await RawNbdClient.open({ path: daemon.socketPath }));
  for (const client of clients) test.ok((await client.read(7, 5000)).equals(raw.subarray(7, 5007)));
  for (const client of clients) await client.disconnect();
  await daemon.stop(test);
});

await t.test('enough descriptors for the daemon, not for its images', async (test) => {
  if (!requireTool(test, 'prlimit')) return;
  const exports = Array.from({ length: 100 }, (_, i) => {
    const path = join(folder, `${i}.img`);
    writeFileSync(path, `${i}`.padEnd(4096));
    return ['--export', `e${i}=${path}`];
  });
  for (const openFiles of [MIN_DESCRIPTORS + 16, 130]) {
    const { code, stderr } = await serveWith(openFiles, ...exports.flat());
    test.equal(code, 1);
    test.match(stderr, new RegExp(`have ${openFiles} files open.*LimitNOFILE`));
    test.notMatch(stderr, /ready/);
  }
});
