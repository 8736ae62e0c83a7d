// The lower half of `mount --fuse`: creates a folder in which nbdfuse shows the device as a file. The
// mount table has the path of that file, and `umount` needs to know nothing else.

import { closeSync, openSync } from 'node:fs';
import { lstat, mkdir, mkdtemp, readFile, rmdir, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { messageOf, OverlaybdError } from '../errors.js';
import { inTime } from '../lib/in-time.js';
import { explainFuse } from './explain.js';
import { fusermountProgram, nbdfuseProgram } from './fuse-programs.js';
import { mountAt, type MountEntry } from './mountinfo.js';
import type { Programs, Started } from './programs.js';
import type { Undo } from './undo.js';
import { monotonicMs } from '../lib/clock.js';

const PREFIX = 'overlaybd-nbd-fuse-';
/** The path of the file in the mount table; mkdtemp(3) makes the six characters. */
const DISK = /^(\/(?:.*\/)?overlaybd-nbd-fuse-[A-Za-z0-9]{6})\/disk\/nbd$/s;
/** What an error of the server begins with. */
const OWN_ERROR = 'overlaybd-nbd: ';
const TICK_MS = 20;
/** How long nbdfuse may take to start: the server may be far away. */
const READY_MS = 60_000;
/** How long a program may take to close its files. */
const CLOSE_MS = 10_000;

export interface FuseTools {
  readonly programs: Programs;
  /** What is mounted now. */
  readonly mounts: () => Promise<readonly MountEntry[]>;
  readonly signal: AbortSignal;
  /** The folder in which startDisk() creates its own. */
  readonly runtime: string;
}

/**
 * Starts nbdfuse, which keeps running after this process has ended.
 * @param server what nbdfuse connects to: a URI, or `--command` and a command line
 * @param undo gets the steps that undo this
 * @returns the path of the file
 * @throws OverlaybdError IO
 */
export async function startDisk(
  server: readonly string[],
  { programs, mounts, signal, runtime }: FuseTools,
  undo: Undo,
): Promise<string> {
  const nbdfuse = await nbdfuseProgram(programs);
  const fusermount = await fusermountProgram(programs);
  checkPath(runtime);
  const folder = await ownFolder(runtime, PREFIX);
  const file = join(folder, 'disk', 'nbd');
  undo.add(() => removeFolder(folder), `${folder} is left; remove it: rm -r ${folder}`);
  await mkdir(join(folder, 'disk'));
  const log = openSync(join(folder, 'log'), 'ax', 0o600);
  let started: Started;
  try {
    const args = ['-r', '-o', 'fsname=overlaybd-nbd,subtype=nbdfuse', '-P', join(folder, 'pid')];
    started = programs.start(nbdfuse, [...args, file, ...server], log);
  } finally {
    closeSync(log);
  }
  undo.add(
    async () => {
      if (mountAt(await mounts(), dirname(file)) !== null) {
        await unmountDisk(fusermount, dirname(file), programs);
      } else {
        started.kill('SIGTERM');
      }
      if (!(await inTime(started.ended, CLOSE_MS))) started.kill('SIGKILL');
    },
    `nbdfuse is still running (process ${started.pid}); end it with: fusermount3 -u ${dirname(file)}`,
  );
  await ready(folder, started, signal);
  return file;
}

/**
 * Has nbdfuse end when the program ends that has the file open now. The mount table does not show the file any more, but its
 * path is the source of the file system in it.
 * @throws OverlaybdError MOUNT
 */
export async function endWithUser(file: string, programs: Programs): Promise<void> {
  await unmountDisk(await fusermountProgram(programs), dirname(file), programs, ['-z']);
}

/** @returns the folder of {@link startDisk}, if the source of the mount is a file in one; else null */
export function diskFolderOf({ type, source }: MountEntry): string | null {
  if (!/^fuse(\.|$)/.test(type)) return null;
  return DISK.exec(source)?.[1] ?? null;
}

/**
 * Ends nbdfuse and thus the server that it started, then removes the folder.
 * @param lazy do not wait while programs use the file: nbdfuse ends when the last one closes it
 * @throws OverlaybdError IO
 */
export async function stopDisk(
  folder: string,
  { programs, mounts }: Pick<FuseTools, 'programs' | 'mounts'>,
  lazy: boolean,
): Promise<void> {
  const fusermount = await fusermountProgram(programs);
  const disk = join(folder, 'disk');
  if (mountAt(await mounts(), disk) !== null) {
    await unmountDisk(fusermount, disk, programs, lazy ? ['-z'] : []);
  }
  if (!lazy) await processEnd(folder);
  await removeFolder(folder);
}

/**
 * Checks that `umount` may remove files from the folder. Any user can put its path into the mount table.
 * @throws OverlaybdError IO
 */
export async function checkFolder(folder: string, uid: number): Promise<void> {
  const stats = await lstat(folder).catch((error: unknown) => {
    throw new OverlaybdError('MOUNT', `${folder}: ${messageOf(error)}`, { cause: error });
  });
  if (stats.isDirectory() && stats.uid === uid) return;
  const facts = `${folder} belongs to user ${stats.uid}; run umount as that user`;
  throw new OverlaybdError('MOUNT', `umount: ${facts}`);
}

/** The path becomes part of an option, and versions of FUSE quote these two characters differently. */
function checkPath(runtime: string): void {
  if (!/[\\,]/.test(runtime)) return;
  const facts = `${runtime}: mount --fuse needs a folder without a comma or a backslash in its path`;
  throw new OverlaybdError('MOUNT', `${facts}: set XDG_RUNTIME_DIR (or TMPDIR) to another one`);
}

/** A program may clean up /tmp, so it is the last choice. */
export function runtimeFolder(): string {
  if (process.geteuid?.() === 0) return '/run';
  return resolve(process.env['XDG_RUNTIME_DIR'] ?? tmpdir());
}

/**
 * Creates a folder for this user alone.
 * @param prefix what its name begins with
 * @throws OverlaybdError MOUNT
 */
export async function ownFolder(runtime: string, prefix: string): Promise<string> {
  try {
    return await mkdtemp(join(runtime, prefix));
  } catch (error) {
    throw new OverlaybdError('MOUNT', `${runtime}: ${messageOf(error)}`, { cause: error });
  }
}

/** Removes only the four names that this file creates. */
async function removeFolder(folder: string): Promise<void> {
  for (const name of ['pid', 'log']) await unlink(join(folder, name)).catch(ignoreMissing);
  await rmdir(join(folder, 'disk')).catch(ignoreMissing);
  await rmdir(folder).catch(ignoreMissing);
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}

/** Waits until the file can be read. nbdfuse then writes its process id. */
async function ready(folder: string, started: Started, signal: AbortSignal): Promise<void> {
  let end: string | null = null;
  const watch = async (): Promise<void> => {
    end = await started.ended;
  };
  void watch();
  const deadline = monotonicMs() + READY_MS;
  while ((await pidOf(folder)) === null) {
    const why = endOfWait(end, signal, deadline);
    if (why !== null) {
      const log = (await readFile(join(folder, 'log'), 'utf8').catch(() => '')).trim();
      const ours = ownErrors(log);
      if (ours !== '' && end !== null) throw new OverlaybdError('MOUNT', ours);
      const output = log === '' ? why : `${why}: ${log.slice(-2000)}`;
      throw new OverlaybdError('MOUNT', `nbdfuse: ${explainFuse({ code: -1, output })}`);
    }
    await pause(TICK_MS);
  }
}

/** What the server says that nbdfuse has started. What nbdfuse says after it is only that the server has ended. */
function ownErrors(log: string): string {
  const lines = log.split('\n').filter((line) => line.startsWith(OWN_ERROR));
  return lines.map((line) => line.slice(OWN_ERROR.length)).join('\n');
}

function endOfWait(end: string | null, signal: AbortSignal, deadline: number): string | null {
  if (signal.aborted) return 'interrupted';
  if (end !== null) return end;
  return monotonicMs() > deadline ? `not ready after ${READY_MS / 1000} s` : null;
}

/** Retries while the disk is busy: a program that was just unmounted may still have the file open. */
async function unmountDisk(
  fusermount: string,
  disk: string,
  programs: Programs,
  options: readonly string[] = [],
): Promise<void> {
  const deadline = monotonicMs() + CLOSE_MS;
  for (;;) {
    const result = await programs.run(fusermount, ['-u', ...options, disk]);
    if (result.code === 0) return;
    if (!/busy/i.test(result.output) || monotonicMs() > deadline) {
      throw new OverlaybdError('MOUNT', `${disk}: cannot be unmounted: ${result.output}`);
    }
    await pause(TICK_MS);
  }
}

async function processEnd(folder: string): Promise<void> {
  const pid = await pidOf(folder);
  const deadline = monotonicMs() + CLOSE_MS;
  if (pid === null) return;
  while ((await isAlive(pid)) && monotonicMs() < deadline) await pause(TICK_MS);
}

async function pidOf(folder: string): Promise<number | null> {
  const text = await readFile(join(folder, 'pid'), 'utf8').catch(() => '');
  return /^\d+\s*$/.test(text) ? Number(text) : null;
}

/** A zombie has ended, although its parent has not waited for it yet. */
async function isAlive(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '');
  return stat !== '' && !/^ [ZX]/.test(stat.slice(stat.lastIndexOf(')') + 1));
}
