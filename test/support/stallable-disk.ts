// A file on a disk that a test can stop: nbdfuse over an nbdkit that gets SIGSTOP. At the end it continues, so that
// waiting processes end.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { tick } from './nbd-client.js';
import { findTool } from './tools.js';

export interface StallableDisk {
  /** The path of the file. */
  readonly path: string;
  /** Stops the server: reads that are not in the page cache wait. */
  stall(): Promise<void>;
  /** Stops the file system itself: even looking at the file waits. */
  stallFolder(): Promise<void>;
  resume(): void;
}

/** @returns false without FUSE; then the test is skipped, with a message on stderr too */
export function requireStallableDisk(t: Test): boolean {
  const missing = ['nbdkit', 'nbdfuse', 'fusermount3'].filter((name) => findTool(name) === null);
  if (!canOpenFuse()) missing.push('/dev/fuse');
  if (missing.length === 0) return true;
  const message = `NOT TESTED, not there: ${missing.join(', ')}`;
  console.error(`${t.fullname}: ${message}`);
  t.pass('a disk that stalls', { skip: message });
  return false;
}

function canOpenFuse(): boolean {
  try {
    accessSync('/dev/fuse', constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

export async function stallableDisk(
  t: Test,
  folder: string,
  bytes: Buffer,
): Promise<StallableDisk> {
  const [image, socket, pidFile, mount] = ['disk.img', 'disk.sock', 'disk.pid', 'disk'].map(
    (name) => join(folder, name),
  ) as [string, string, string, string];
  writeFileSync(image, bytes);
  mkdirSync(mount);
  const server = spawn('nbdkit', ['-f', '-U', socket, '-P', pidFile, 'file', image], {
    stdio: 'ignore',
  });
  await appears(pidFile);
  const fuse = spawn('nbdfuse', ['-r', mount, `nbd+unix://?socket=${socket}`], { stdio: 'ignore' });
  const resume = (): void => {
    fuse.kill('SIGCONT');
    server.kill('SIGCONT');
  };
  t.teardown(async () => {
    resume();
    spawnSync('fusermount3', ['-u', '-z', mount]);
    fuse.kill('SIGTERM');
    server.kill('SIGTERM');
    await Promise.all([fuse, server].map(({ pid }) => gone(pid)));
  });
  const path = join(mount, 'nbd');
  await appears(path);
  return {
    path,
    stall: () => stopped(server),
    stallFolder: () => stopped(fuse),
    resume,
  };
}

/** Stops a process, and waits until each of its threads has stopped. */
async function stopped(child: ChildProcess): Promise<void> {
  child.kill('SIGSTOP');
  const tasks = `/proc/${child.pid}/task`;
  const isStopped = (task: string): boolean =>
    /^State:\s+T/m.test(readFileSync(join(tasks, task, 'status'), 'latin1'));
  for (const end = performance.now() + 120_000; ; await tick(5)) {
    if (readdirSync(tasks).every(isStopped)) return;
    if (performance.now() > end) throw new Error(`process ${child.pid} does not stop`);
  }
}

async function appears(path: string): Promise<void> {
  for (const end = performance.now() + 120_000; !existsSync(path); await tick(10)) {
    if (performance.now() > end) throw new Error(`${path} does not appear`);
  }
}

async function gone(pid: number | undefined): Promise<void> {
  const isThere = (): boolean => {
    try {
      return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'));
    } catch {
      return false;
    }
  };
  for (const end = performance.now() + 120_000; isThere() && performance.now() < end;)
    await tick(10);
}
