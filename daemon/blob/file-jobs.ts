// Everything with files that may wait for a disk, done by the addon's threads: opening, loading,
// asking for holes. The other threads of the daemon make no such call (docs/architecture.md).

import { readlink, stat } from 'node:fs/promises';
import { constants } from 'node:os';
import { OverlaybdError } from '../errors.js';
import type { DataRuns } from '../lib/disk.js';
import { errnoText } from '../lib/errno.js';
import { inTime } from '../lib/in-time.js';
import { files } from '../native/file.js';

const { EMFILE, ENOENT, ENOTBLK, ENXIO, ETIMEDOUT } = { ENOTBLK: 15, ...constants.errno };
const { EACCES, ELOOP, ENAMETOOLONG, ENOTDIR, EPERM } = constants.errno;
/** The disk is not to blame for these. */
const OF_THE_PATH = new Set([EACCES, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, EPERM]);

/** How a job ended; see `files.onJobEnd`. */
export interface JobEnd {
  readonly result: number;
  readonly values: Float64Array;
  readonly identity: string;
}

/** A file that is open; {@link closeFile} closes it. */
export interface OpenedFile {
  readonly fd: number;
  readonly size: number;
  readonly isDevice: boolean;
  /** The same file opened twice has the same identity: device, inode, change of content. */
  readonly identity: string;
}

type JobEnded = (result: number, values?: Float64Array, identity?: string) => void;

const NOTHING = new Float64Array(0);
const jobs = new Map<number, JobEnded>();
let lastJob = 0;

/** The number of a new job of this thread. */
function newJob(): number {
  if (lastJob === 0) {
    files.onJobEnd((job, result, values, identity) => {
      const ended = jobs.get(job);
      jobs.delete(job);
      ended?.(result, values, identity);
    });
  }
  return ++lastJob;
}

/** Starts a job of this thread. Never rejects: the result is in how it ended. */
export function runFileJob(start: (job: number) => number): Promise<JobEnd> {
  const job = newJob();
  const refused = start(job);
  if (refused < 0) return Promise.resolve({ result: refused, values: NOTHING, identity: '' });
  return new Promise((resolve) =>
    jobs.set(job, (result, values = NOTHING, identity = '') =>
      resolve({ result, values, identity }),
    ),
  );
}

/**
 * Opens a regular file or a block device for reading. Whatever else is there is not opened.
 * @throws OverlaybdError NOT_FOUND, IO, or UNSUPPORTED for directories, pipes and the like
 */
export async function openPath(path: string): Promise<OpenedFile> {
  const {
    result: fd,
    values,
    identity,
  } = await runFileJob((job) => files.startOpen(job, checked(path)));
  if (fd >= 0) return { fd, size: values[0] as number, isDevice: values[1] === 1, identity };
  if (fd === -ENOTBLK) {
    const message = `${path}: ${await kindAt(path)}, not a file or a block device`;
    throw new OverlaybdError('UNSUPPORTED', message, { facts: { blob: path } });
  }
  const target = fd === -ENOENT ? await answerOf(readlink(path)) : null;
  if (target === null) throw pathError(path, fd);
  const message = `${path}: a symlink to ${target}, which does not exist`;
  throw new OverlaybdError('NOT_FOUND', message, { facts: { blob: path } });
}

/** What a system call says that only a message needs; null: it fails, or it says nothing in time. */
async function answerOf<T>(call: Promise<T>): Promise<T | null> {
  const answer = call.catch(() => null);
  await inTime(answer, files.deadline());
  return Promise.race([answer, Promise.resolve(null)]);
}

/** For a message: what is there that cannot be opened. */
async function kindAt(path: string): Promise<string> {
  const status = await answerOf(stat(path));
  if (status?.isDirectory()) return 'a folder';
  if (status?.isFIFO()) return 'a FIFO';
  if (status?.isSocket()) return 'a socket';
  return status?.isCharacterDevice() ? 'a character device' : 'something else';
}

/** @throws OverlaybdError IO when that cannot be found out in time */
export async function fileExists(path: string): Promise<boolean> {
  const { result } = await runFileJob((job) => files.startExists(job, checked(path)));
  if (result === -ETIMEDOUT) throw pathError(path, result);
  return result === 0;
}

/** Closes a file that {@link openPath} opened, when no job needs it any longer. Does not wait. */
export function closeFile(fd: number): void {
  files.close(fd);
}

/**
 * Brings a range near enough for `files.readAtHand`. Each read that waits for a disk comes here, so it makes one promise
 * and no more.
 * @param name for messages
 * @param offset of the range in what `name` names; `position` in the file
 * @throws OverlaybdError SHORT_READ when the file ends before, IO
 */
export function loadRange(
  fd: number,
  name: string,
  offset: number,
  length: number,
  position: number,
): Promise<void> {
  const job = newJob();
  const refused = files.startLoad(job, fd, position, length);
  if (refused < 0) return Promise.reject(readError(name, offset, length, refused));
  return new Promise((resolve, reject) => {
    jobs.set(job, (result) => {
      if (result === length) resolve();
      else if (result < 0) reject(readError(name, offset, length, result));
      else reject(shortRead(name, offset, length, result));
    });
  });
}

/**
 * Makes the kernel start to read a range of a file, without memory of this process.
 * @throws OverlaybdError IO
 */
export async function prefetchRange(
  fd: number,
  name: string,
  offset: number,
  length: number,
  position: number,
): Promise<void> {
  const { result } = await runFileJob((job) => files.startPrefetch(job, fd, position, length));
  // ESPIPE and EINVAL: there is nothing to read ahead in this kind of file.
  if (result === -ETIMEDOUT) throw readError(name, offset, length, result);
}

/**
 * Where the bytes [position, position + length) of a file are data, or where the first of them are.
 * @param fileEnd how long the file was when it was opened
 * @returns null when the file system cannot tell
 * @throws OverlaybdError SHORT_READ when it is shorter by now, IO
 */
export async function findDataRuns(
  fd: number,
  name: string,
  position: number,
  length: number,
  fileEnd: number,
): Promise<DataRuns | null> {
  const { result, values } = await runFileJob((job) =>
    files.startExtents(job, fd, position, length, fileEnd),
  );
  if (result >= 0) return { begin: position, runs: values, end: position + result };
  if (result === -ENXIO) {
    throw new OverlaybdError(
      'SHORT_READ',
      `${name}: holes at byte ${position}: the file is shorter than the ${fileEnd} bytes it had when it was opened`,
      { facts: { blob: name, offset: position } },
    );
  }
  if (result === -ETIMEDOUT || result === -constants.errno.EIO) {
    throw readError(name, position, length, result);
  }
  return null;
}

/** A range that is past the end of its file. @param got bytes of it that are there */
export function shortRead(
  name: string,
  offset: number,
  length: number,
  got: number,
): OverlaybdError {
  return new OverlaybdError(
    'SHORT_READ',
    `${name}: read of ${length} bytes at ${offset}: the file ends after ${Math.max(0, got)} of them`,
    { facts: { blob: name, offset } },
  );
}

function readError(name: string, offset: number, length: number, errno: number): OverlaybdError {
  const what = `${name}: read of ${length} bytes at ${offset}`;
  return new OverlaybdError('IO', `${what}: ${reason(errno)}`, { facts: { blob: name, offset } });
}

function pathError(path: string, errno: number): OverlaybdError {
  const missing = errno === -ENOENT;
  return new OverlaybdError(missing ? 'NOT_FOUND' : 'IO', `${path}: ${reason(errno)}`, {
    facts: { blob: path },
  });
}

/** @throws OverlaybdError IO for what no path can be */
function checked(path: string): string {
  if (!path.includes('\0')) return path;
  throw new OverlaybdError('IO', `${JSON.stringify(path)}: a path cannot hold a nul byte`);
}

/** What an errno means to an operator. */
function reason(errno: number): string {
  if (errno === -ETIMEDOUT) {
    const seconds = files.deadline() / 1000;
    return `no answer within ${seconds} s; check the disk, or the mount and its server`;
  }
  const text = errnoText(-errno);
  if (errno === -EMFILE) return `${text}; raise the limit (ulimit -n; LimitNOFILE= in a unit)`;
  return OF_THE_PATH.has(-errno) ? text : `${text}; check the disk that holds it`;
}
