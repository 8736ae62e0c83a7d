// Makes out/bundle: the program as three files, for the main thread, reactors and the opener, the first
// two with code caches.
// Nothing of it is needed to run the modules themselves, which is what most tests do.

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, accessSync, rmSync, writeFileSync, chmodSync } from 'node:fs';
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { build, type BuildOptions } from 'esbuild';
import { bundleOf, ID_LENGTH, THREAD_FOLDERS } from './compile.js';

const MODULES = fileURLToPath(new URL('..', import.meta.url));
const BUNDLE = fileURLToPath(new URL('../../bundle', import.meta.url));
const ENTRIES = ['main', 'reactor/worker'] as const;
/** For large images only, beside which the time to compile it is nothing. */
const UNCACHED = 'image/opener-thread';
const START_TIMEOUT_MS = 60_000;

const COMMON: BuildOptions = {
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  charset: 'ascii',
  write: false,
  logLevel: 'warning',
};

rmSync(BUNDLE, { recursive: true, force: true });
for (const folder of THREAD_FOLDERS) mkdirSync(join(BUNDLE, folder), { recursive: true });
writeFileSync(join(BUNDLE, 'package.json'), '{ "type": "commonjs" }\n');
const start = await bundled({ entryPoints: [join(MODULES, 'bundle/start.js')] });
for (const name of [...ENTRIES, UNCACHED]) await writeProgram(name);
await recordStart();

async function bundled(options: BuildOptions): Promise<string> {
  const { outputFiles = [] } = await build({ ...COMMON, ...options });
  if (outputFiles.length !== 1) throw new Error(`esbuild made ${outputFiles.length} files, not 1`);
  return outputFiles[0]?.text ?? '';
}

async function writeProgram(name: string): Promise<void> {
  const entry = join(BUNDLE, `${name}.js`);
  writeFileSync(entry, start);
  chmodSync(entry, 0o755);
  const text = await bundled({
    entryPoints: [join(MODULES, `${name}.js`)],
    // Addons: they are files of their own, and loaded only where the system lacks the libraries.
    external: ['lz4-napi', 'zstd-napi'],
    // Nobody chooses the native code of an installed program by the environment.
    define: { 'import.meta.url': 'moduleUrl', 'process.env.OVERLAYBD_NBD_ADDON': 'undefined' },
    alias: { 'string-width': join(MODULES, 'bundle/plain-width.js') },
  });
  const code = text.replace(/^#!.*\n/, '');
  const id = createHash('sha256').update(code).digest('hex').slice(0, ID_LENGTH);
  writeFileSync(bundleOf(entry).text, `${id}\n${code}`);
}

/** Serves a small disk to a client that comes and goes, and ends: the caches remain. */
async function recordStart(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'obd-bundle-'));
  try {
    const disk = join(folder, 'disk.img');
    const socket = join(folder, 'socket');
    writeFileSync(disk, Buffer.alloc(1 << 20));
    const record = fileURLToPath(new URL('record.js', import.meta.url));
    const entries = ENTRIES.map((name) => join(BUNDLE, `${name}.js`));
    const args = ['serve', disk, '--listen', `unix://${socket}`, '--state', join(folder, 'state')];
    const daemon = spawn(process.execPath, [record, ...entries, ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
      // The settings of whoever builds are not those of whoever runs it.
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    let log = '';
    daemon.stderr.on('data', (data: Buffer) => (log += data.toString()));
    const ended = once(daemon, 'exit');
    const deadline = Date.now() + START_TIMEOUT_MS;
    const until = async (done: () => boolean | Promise<boolean>): Promise<void> => {
      while (!(await done()) && Date.now() < deadline && daemon.exitCode === null) await pause(20);
    };
    let served = false;
    await until(async () => (served = await visited(socket)));
    // When its log is written, everything a start does is done.
    await until(() => log.includes('closed'));
    daemon.kill('SIGTERM');
    const late = setTimeout(() => daemon.kill('SIGKILL'), START_TIMEOUT_MS);
    const [code] = (await ended) as [number | null];
    clearTimeout(late);
    if (code !== 0 || !served) {
      throw new Error(`the bundle does not serve: exit code ${code}\n${log}`);
    }
    for (const entry of entries) accessSync(bundleOf(entry).cache);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Whether a connection was made and greeted. */
function visited(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = createConnection(socket);
    connection.setTimeout(START_TIMEOUT_MS, () => connection.destroy());
    connection.once('error', () => resolve(false));
    // A thread that dies closes its connections without a word; the log says why.
    connection.once('close', () => resolve(false));
    // A reactor thread that cannot start takes its connection with it.
    connection.once('close', () => resolve(false));
    connection.once('data', () => {
      connection.destroy();
      resolve(true);
    });
  });
}
