// The state folder: its owner, and its lock for one process at a time.
import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'tap';
import {
  StateFolder,
  controlSocketOf,
  defaultStateFolder,
} from '../../../daemon/devices/state-folder.js';

const MODULE = fileURLToPath(new URL('../../../daemon/devices/state-folder.js', import.meta.url));

await test('the default folder depends on user and environment', async (t) => {
  t.equal(defaultStateFolder({ XDG_RUNTIME_DIR: '/run/user/0' }, 0), '/run/overlaybd-nbd');
  t.equal(defaultStateFolder({ XDG_RUNTIME_DIR: '/run/user/7' }, 7), '/run/user/7/overlaybd-nbd');
  t.equal(defaultStateFolder({}, 7), null);
  t.equal(defaultStateFolder({ XDG_RUNTIME_DIR: '' }, 7), null);
});

await test('a path where no folder can be made is an error', (t) => {
  // Each in a process that can be killed, because this once did not return.
  for (const path of ['/proc/no-such-folder', '/proc/no/such', '/dev/null/x']) {
    const code = `import(${JSON.stringify(MODULE)}).then((m) => m.StateFolder.open(${JSON.stringify(path)})).catch((e) => console.log(e.message))`;
    const { stdout } = spawnSync(process.execPath, ['-e', code], {
      timeout: 120_000,
      killSignal: 'SIGKILL',
      encoding: 'utf8',
    });
    t.match(stdout, `state folder ${path}: E`);
  }
  t.end();
});

await test('a folder is made, locked by one process, and unlocked', async (t) => {
  const path = join(t.testdir(), 'a', 'b');
  const folder = StateFolder.open(path);
  t.equal(folder.path, path);
  t.equal(folder.devices, join(path, 'devices'));
  t.equal(folder.controlSocket, controlSocketOf(path));
  t.equal(statSync(path).mode & 0o777, 0o700);
  t.equal(statSync(folder.devices).mode & 0o777, 0o700);
  t.equal(statSync(join(path, 'lock')).mode & 0o777, 0o600);
  const refused = { code: 'BUSY', message: /state folder .*b: another daemon uses it.*--state/ };
  t.throws(() => StateFolder.open(path), refused);
  t.throws(() => StateFolder.open(path), refused, 'a failed attempt does not unlock it');
  folder.close();
  const again = StateFolder.open(path);
  t.throws(() => StateFolder.open(path), refused);
  StateFolder.take(path, again.lockFd).close();
  StateFolder.open(path).close();
});

await test('the lock ends with its process', async (t) => {
  const path = t.testdir();
  chmodSync(path, 0o700);
  const script = `import { StateFolder } from ${JSON.stringify(MODULE)};
    StateFolder.open(process.argv[1]); console.log('has it'); setInterval(() => undefined, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, path], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  t.teardown(() => child.kill('SIGKILL'));
  await new Promise((resolve) => child.stdout.once('data', resolve));
  t.throws(() => StateFolder.open(path), { code: 'BUSY' });
  const dead = new Promise((resolve) => child.once('close', resolve));
  child.kill('SIGKILL');
  await dead;
  StateFolder.open(path).close();
});

await test('a folder that others may write to is refused', async (t) => {
  const path = join(t.testdir(), 'state');
  mkdirSync(path);
  for (const mode of [0o777, 0o770, 0o702]) {
    chmodSync(path, mode);
    t.throws(
      () => StateFolder.open(path),
      { code: 'PERMISSION', message: new RegExp(`mode ${mode.toString(8)}.*only that user`) },
      mode.toString(8),
    );
  }
  chmodSync(path, 0o755);
  StateFolder.open(path).close();
  if (process.getuid?.() !== 0) return;
  chownSync(path, 4711, 0);
  t.throws(() => StateFolder.open(path), { code: 'PERMISSION', message: /belongs to user 4711/ });
});

await test('a path that is not a folder is refused', async (t) => {
  const root = t.testdir();
  writeFileSync(join(root, 'file'), '');
  t.throws(() => StateFolder.open(join(root, 'file')), {
    code: 'IO',
    message: /state folder .*file/,
  });
  const path = join(root, 'state');
  mkdirSync(path);
  symlinkSync(join(root, 'elsewhere'), join(path, 'lock'));
  t.throws(() => StateFolder.open(path), { code: 'IO', message: /lock: is a symbolic link/ });
  t.notOk(existsSync(join(root, 'elsewhere')), 'links are not followed');
});

await test('obstacles in the folder are reported without waiting', async (t) => {
  const root = t.testdir({ filled: {} });
  for (const [name, make] of [
    ['lock', (path: string) => spawnSync('mkfifo', [path])],
    ['lock', (path: string) => mkdirSync(path)],
    ['devices', (path: string) => spawnSync('mkfifo', [path])],
    ['devices', (path: string) => symlinkSync(join(root, 'filled'), path)],
    ['devices', (path: string) => writeFileSync(path, '')],
  ] as const) {
    const path = join(root, 'state');
    rmSync(path, { recursive: true, force: true });
    mkdirSync(path);
    make(join(path, name));
    t.throws(() => StateFolder.open(path), { code: 'IO', message: new RegExp(`state/${name}: `) });
  }
  const path = join(root, 'state');
  rmSync(path, { recursive: true });
  mkdirSync(join(path, 'devices'), { recursive: true });
  chmodSync(join(path, 'devices'), 0o777);
  t.throws(() => StateFolder.open(path), { code: 'PERMISSION', message: /devices.*mode 777/ });
});
