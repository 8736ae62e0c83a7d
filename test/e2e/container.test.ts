// The daemon in an environment like a container: it is the first process, its root is read-only, there is no HOME, and
// /run is an empty tmpfs. Needs root for the namespaces.
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import t from 'tap';
import { commandLine, shortFolder } from '../support/daemon-process.js';
import { writeRaw } from '../support/e2e-images.js';
import { RawNbdClient } from '../support/nbd-client.js';
import { requireTool, runTool } from '../support/tools.js';

const PATH = 'PATH=/usr/sbin:/usr/bin:/sbin:/bin';
/** $1: the path of the root; the other words are run in it. */
const CONTAINER = `set -e
root=$1; shift
mount -o bind / "$root"; mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc"; mount -t tmpfs run "$root/run"; mount --rbind /dev "$root/dev"
exec chroot "$root" "$@"`;

const namespaces = spawnSync('unshare', ['--pid', '--mount', '--fork', 'true']).status === 0;
const skip = namespaces ? false : 'NOT TESTED: no namespaces: root is needed';
if (skip !== false) console.error(`${t.fullname}: ${skip}`);

await t.test('in a container it serves, is found, and ends cleanly', { skip }, async (test) => {
  if (!requireTool(test, 'unshare', 'nsenter', 'chroot')) return;
  const folder = shortFolder(test);
  const image = join(folder, 'raw.img');
  const raw = writeRaw(image, 5, 102_400);
  const root = join(folder, 'root');
  mkdirSync(root);
  const state = ['--state', '/run/overlaybd-nbd'];
  const listen = ['--listen', 'tcp://127.0.0.1:0'];
  const serve = commandLine(['serve', '--export', `web=${image}`, ...listen, ...state]);
  const inside = [
    '--fork',
    '--kill-child',
    '--pid',
    '--mount-proc',
    '--mount',
    '/bin/sh',
    '-c',
    CONTAINER,
  ];
  const child = spawn('env', ['-i', PATH, 'unshare', ...inside, 'sh', root, ...serve], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  child.stderr.on('data', (part: Buffer) => (log += part.toString()));
  const ended = new Promise((resolve) => child.once('close', resolve));
  test.teardown(() => child.kill('SIGKILL'));
  const port = await found(
    () => /ready: nbd:\/\/127\.0\.0\.1:(\d+)/.exec(log)?.[1],
    () => log,
  );
  const client = await RawNbdClient.open({ host: '127.0.0.1', port: Number(port) }, 'web');
  test.ok((await client.read(7, 5000)).equals(raw.subarray(7, 5007)));
  await client.disconnect();

  const pid = await found(
    () => firstInside(child.pid ?? 0),
    () => 'no process in the namespace',
  );
  const status = commandLine(['status', ...state]);
  const enter = ['--all', '--target', pid, '--root', 'env', '-i', PATH, ...status];
  const { code, stdout, stderr } = await runTool('nsenter', enter);
  test.match({ code, stderr }, { code: 0, stderr: '' });
  test.match(stdout, /web/);
  test.match(stdout, /\b1\b/, 'its process id is 1');
  test.notMatch(log, / (error|warn): /, 'there is no warning or error');
  process.kill(Number(pid), 'SIGTERM');
  test.equal(await ended, 0);
  test.match(log, /stopped\n$/);
});

async function found(look: () => string | undefined, explain: () => string): Promise<string> {
  for (const end = performance.now() + 120_000; performance.now() < end; await pause(20)) {
    const value = look();
    if (value !== undefined) return value;
  }
  throw new Error(`not found: ${explain()}`);
}

/** The only child of unshare, which replaced env. */
function firstInside(pid: number): string | undefined {
  return (
    readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0] || undefined
  );
}
