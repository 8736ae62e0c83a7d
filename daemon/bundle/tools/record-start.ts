// Runs the new bundle once, so that its code caches hold what a start needs: serves a small disk to one
// client, which connects and leaves, and ends.

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { bundleOf } from '../compile.js';

const START_TIMEOUT_MS = 60_000;
const RECORD = fileURLToPath(new URL('record.js', import.meta.url));

/**
 * @param entries of the main thread and of reactors
 * @throws Error if the bundle does not serve, or if a cache is missing afterwards
 */
export async function recordStart(entries: readonly string[]): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'obd-bundle-'));
  try {
    const disk = join(folder, 'disk.img');
    const socket = join(folder, 'socket');
    writeFileSync(disk, Buffer.alloc(1 << 20));
    const args = ['serve', disk, '--listen', `unix://${socket}`, '--state', join(folder, 'state')];
    const daemon = spawn(process.execPath, [RECORD, ...entries, ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
      // The settings of the machine that builds are not those of the machine that runs it.
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    let log = '';
    daemon.stderr.on('data', (data: Buffer) => (log += data.toString()));
    const ended = once(daemon, 'exit') as Promise<[number | null]>;
    const served = await visit(daemon, socket, () => log);
    daemon.kill('SIGTERM');
    const late = setTimeout(() => daemon.kill('SIGKILL'), START_TIMEOUT_MS);
    const [code] = await ended;
    clearTimeout(late);
    if (code !== 0 || !served) {
      throw new Error(`the bundle does not serve: exit code ${code}\n${log}`);
    }
    for (const entry of entries) accessSync(bundleOf(entry).cache);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Connects and leaves. @returns whether the daemon greeted */
async function visit(daemon: ChildProcess, socket: string, log: () => string): Promise<boolean> {
  const deadline = Date.now() + START_TIMEOUT_MS;
  const goesOn = (): boolean => Date.now() < deadline && daemon.exitCode === null;
  let served = false;
  while (goesOn() && !(served = await isGreeted(socket))) await pause(20);
  // The log of the end of a connection is the last thing that a start does.
  while (goesOn() && !log().includes('closed')) await pause(20);
  return served;
}

/** Whether a connection was made and the first bytes came. */
function isGreeted(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = createConnection(socket);
    connection.setTimeout(START_TIMEOUT_MS, () => connection.destroy());
    connection.once('error', () => resolve(false));
    // A reactor thread that cannot start closes its connection; the log says why.
    connection.once('close', () => resolve(false));
    connection.once('data', () => {
      connection.destroy();
      resolve(true);
    });
  });
}
