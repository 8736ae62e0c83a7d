// The output of commands. Writes all of a result to standard output (a file, a pipe, a terminal), or fails. Writes
// errors and remarks to standard error.

import { closeSync, fstatSync, write } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { OverlaybdError, messageOf } from '../errors.js';
import { errorOf } from '../lib/fault.js';
import { errnoWords } from '../lib/errno.js';
import { printableLine } from '../lib/printable.js';
import { priorityPrefix } from '../log/journal.js';
import type { Logger } from '../log/logger.js';

const STDOUT = 1;
const STDERR = 2;
/** Pause before another try if another process has made the pipe nonblocking. */
const RETRY_MS = 5;
/** After this time without a reader, messages are dropped, because the process must end. */
const STDERR_MS = 10_000;

/** Whether the reader of standard output has closed it. Further output is then dropped silently. */
let isClosed = false;
let hasPrinted = false;

/**
 * Prints to standard output. Resolves when all of the text is written, however slow the reader of a pipe is.
 * @throws OverlaybdError IO if it cannot be written
 */
export async function print(text: string): Promise<void> {
  await printBytes(Buffer.from(text));
}

/**
 * The same of bytes.
 * @returns false if the reader of the pipe has gone: further output is of no use
 */
export async function printBytes(bytes: Buffer): Promise<boolean> {
  if (isClosed || bytes.length === 0) return !isClosed;
  hasPrinted = true;
  try {
    await writeAll(STDOUT, bytes);
  } catch (error) {
    // The reader has closed the pipe, as in `overlaybd-nbd inspect ... | head`.
    if ((error as NodeJS.ErrnoException).code === 'EPIPE') isClosed = true;
    else throw writeError(error);
  }
  return !isClosed;
}

/**
 * Prints the one line that is the result of a command, after its work.
 * @param done what the command has done, for the error if the line cannot be printed
 */
export async function printResult(line: string, done: string): Promise<void> {
  try {
    await print(`${printableLine(line)}\n`);
  } catch (error) {
    throw new OverlaybdError('IO', `${messageOf(error)}; ${done}`, { cause: error });
  }
}

/**
 * Closes standard output: some file systems report a failed write only at close(2).
 * @throws OverlaybdError IO
 */
export function closeOutput(): void {
  if (!hasPrinted || !fstatSync(STDOUT).isFile()) return;
  hasPrinted = false;
  try {
    closeSync(STDOUT);
  } catch (error) {
    throw writeError(error);
  }
}

/** Prints why a command fails, one line for each message. Names in it may come from a hostile file. */
export async function complain(...messages: readonly string[]): Promise<void> {
  const prefix = priorityPrefix()('error');
  const text = messages.map((message) => `${prefix}${printableLine(message)}\n`).join('');
  const written = writeAll(STDERR, Buffer.from(text)).catch(() => undefined);
  await Promise.race([written, pause(STDERR_MS, undefined, { ref: false })]);
}

/** Prints one line that an operator should know, while the command continues. */
export function remark(message: string): void {
  process.stderr.write(`${priorityPrefix()('warn')}${printableLine(message)}\n`);
}

/** The log of a command: what an operator should know, on standard error. */
export const stderrLog: Logger = {
  log: (level, message) => {
    if (level === 'error' || level === 'warn') remark(message);
  },
};

function writeError(error: unknown): OverlaybdError {
  const { errno } = error as NodeJS.ErrnoException;
  const why = errno === undefined ? messageOf(error) : errnoWords(-errno);
  return errorOf('IO', { path: 'standard output' }, `write error: ${why}`, error);
}

async function writeAll(fd: number, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    try {
      at += await writeSome(fd, bytes, at);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      await pause(RETRY_MS);
    }
  }
}

function writeSome(fd: number, bytes: Buffer, at: number): Promise<number> {
  return new Promise((resolve, reject) => {
    write(fd, bytes, at, bytes.length - at, null, (error, n) => {
      if (error) reject(error);
      else resolve(n);
    });
  });
}
