// Standard input and output as one connection, for `serve --stdio`. Speaks no NBD.

import { fstatSync, readlinkSync, type Stats } from 'node:fs';
import { Socket } from 'node:net';
import { OverlaybdError } from '../errors.js';
import { errnoText } from '../lib/errno.js';
import { descriptors } from '../native/descriptors.js';
import { sockets } from '../native/socket.js';
import type { Peer } from '../reactor/peer.js';
import { STDIO_PEER, peerOf } from './peer.js';

const STDIN = 0;
const STDOUT = 1;

export interface StdioConnection {
  /** A connected socket, which belongs to the caller. */
  readonly fd: number;
  readonly peer: Peer;
  /** Resolves when the client has received everything, after the socket was closed. */
  readonly finished: Promise<void>;
}

/**
 * Takes the two descriptors and puts /dev/null in their place, so that no output of the process gets into the
 * client's stream, and no copy keeps the connection open.
 * @throws OverlaybdError BAD_ARGUMENT if they are neither sockets nor pipes
 */
export function takeStdio(): StdioConnection {
  const [input, output] = [fstatSync(STDIN), fstatSync(STDOUT)];
  const same = input.dev === output.dev && input.ino === output.ino;
  if (input.isSocket() && (same || !isStream(output))) {
    const fd = take(STDIN);
    if (same) descriptors.close(take(STDOUT));
    return { fd, peer: peerOf(fd), finished: Promise.resolve() };
  }
  if (!isStream(input)) throw refused('input', STDIN, input);
  if (!isStream(output)) throw refused('output', STDOUT, output);
  return relay(take(STDIN), take(STDOUT));
}

/** Reactors serve only sockets, so two descriptors are connected to a socket pair. */
function relay(inputFd: number, outputFd: number): StdioConnection {
  const [fd, ours] = sockets.pair();
  const input = new Socket({ fd: inputFd, readable: true, writable: false });
  const output = new Socket({ fd: outputFd, readable: false, writable: true });
  const middle = new Socket({ fd: ours, readable: true, writable: true, allowHalfOpen: true });
  const finished = new Promise<void>((resolve) => {
    output.once('close', () => resolve());
  });
  // A failing end counts as a normal end: the protocol itself shows what was missing.
  input.once('error', () => middle.end());
  middle.once('error', () => output.end());
  output.once('error', () => middle.destroy());
  input.pipe(middle);
  middle.pipe(output);
  return { fd, peer: STDIO_PEER, finished };
}

function isStream(stats: Stats): boolean {
  return stats.isSocket() || stats.isFIFO();
}

function take(standard: number): number {
  const fd = descriptors.takeStandard(standard);
  if (fd >= 0) return fd;
  throw new OverlaybdError(
    'IO',
    `descriptor ${standard}: cannot be replaced by /dev/null: ${errnoText(-fd)}`,
  );
}

function refused(what: string, fd: number, stats: Stats): OverlaybdError {
  const is = stats.isFile() ? 'a file' : stats.isCharacterDevice() ? 'a device' : 'something else';
  const message = `--stdio: standard ${what} (descriptor ${fd}) is ${pathOf(fd) ?? is}, neither a socket nor a pipe`;
  return new OverlaybdError('BAD_ARGUMENT', message);
}

/** The path of a descriptor, such as "/dev/null"; null if /proc has none. */
function pathOf(fd: number): string | null {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return null;
  }
}
