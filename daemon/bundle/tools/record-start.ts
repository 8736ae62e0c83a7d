// Runs the new bundle once, so that its code caches hold what a start needs: serves a small image to one
// client, which reads, and ends while that client is there.

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { bundleOf } from '../compile.js';
import { readOnce } from './record-client.js';
import { writeLayers } from './record-image.js';

const START_TIMEOUT_MS = 60_000;
const RECORD = fileURLToPath(new URL('record.js', import.meta.url));

/**
 * @param entries of the main thread and of reactors
 * @throws Error if the bundle does not serve, or if a cache is missing afterwards
 */
export async function recordStart(entries: readonly string[]): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'obd-bundle-'));
  try {
    const socket = join(folder, 'socket');
    const args = ['serve', ...writeLayers(folder), '--listen', `unix://${socket}`];
    args.push('--state', join(folder, 'state'));
    const daemon = spawn(process.execPath, [RECORD, ...entries, ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
      // The settings of the machine that builds are not those of the machine that runs it.
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    let log = '';
    daemon.stderr.on('data', (data: Buffer) => (log += data.toString()));
    const ended = once(daemon, 'exit') as Promise<[number | null]>;
    const served = await visit(daemon, socket, () => log);
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

/** Has the daemon end after a read. @returns whether it served the read */
async function visit(daemon: ChildProcess, socket: string, log: () => string): Promise<boolean> {
  const deadline = Date.now() + START_TIMEOUT_MS;
  const goesOn = (): boolean => Date.now() < deadline && daemon.exitCode === null;
  const end = async (): Promise<void> => {
    // The log is the last thing that a start loads.
    while (goesOn() && !log().includes('ready')) await pause(20);
    // A reactor drains only if it has a connection, and writes its cache before that.
    daemon.kill('SIGTERM');
  };
  let served = false;
  while (goesOn() && !(served = await readOnce(socket, end))) await pause(20);
  return served;
}
