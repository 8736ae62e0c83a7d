// What commands print: all of it gets out, whatever standard output is, or the command fails. And what
// they say on standard error when they do.

import { closeSync, fstatSync, write } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { OverlaybdError, messageOf } from '../errors.js';
import { errnoWords } from '../lib/errno.js';
import { printableLine } from '../lib/printable.js';
import { priorityPrefix } from '../log/journal.js';

const STDOUT = 1;
const STDERR = 2;
/** A pipe that was made nonblocking by somebody else is tried again after so long. */
const RETRY_MS = 5;
/** Messages are given up when nobody takes them: a daemon must come to its end. */
const STDERR_MS = 10_000;

/** Standard output has nobody at its end any more: nothing more is printed, and nothing is said. */
let isClosed = false;
let hasPrinted = false;

/**
 * Prints to standard output. Resolves when the system has all of it, however long a pipe's reader takes.
 * @throws OverlaybdError IO when it cannot be written
 */
export async function print(text: string): Promise<void> {
  if (isClosed || text === '') return;
  hasPrinted = true;
  try {
    await writeAll(STDOUT, Buffer.from(text));
  } catch (error) {
    // As `overlaybd-nbd inspect ... | head` has it.
    if ((error as NodeJS.ErrnoException).code === 'EPIPE') isClosed = true;
    else throw writeError(error);
  }
}

/**
 * Prints the one line that a command was asked for, once it has done its work.
 * @param done what stays done, if nobody learns of it
 */
export async function printResult(line: string, done: string): Promise<void> {
  try {
    await print(`${printableLine(line)}\n`);
  } catch (error) {
    throw new OverlaybdError('IO', `${messageOf(error)}; ${done}`, { cause: error });
  }
}

/**
 * At the end: some file systems tell only when a file is closed that it could not be written.
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

/** Says in one line why a command fails. Names in it may come from a hostile file. */
export async function complain(...messages: readonly string[]): Promise<void> {
  const prefix = priorityPrefix()('error');
  const text = messages.map((each) => `${prefix}${printableLine(each)}\n`).join('');
  const written = writeAll(STDERR, Buffer.from(text)).catch(() => undefined);
  await Promise.race([written, pause(STDERR_MS, undefined, { ref: false })]);
}

/** Says in one line what an operator should know, while the command goes on. */
export function remark(message: string): void {
  process.stderr.write(`${priorityPrefix()('warn')}${printableLine(message)}\n`);
}

function writeError(error: unknown): OverlaybdError {
  const { errno } = error as NodeJS.ErrnoException;
  const why = errno === undefined ? messageOf(error) : errnoWords(-errno);
  return new OverlaybdError('IO', `write error: ${why}`, { cause: error });
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
