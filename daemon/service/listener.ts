// A listening socket of the control plane: accepts connections and hands them on.

import { lstatSync, rmSync, unlinkSync } from 'node:fs';
import { lookup } from 'node:dns/promises';
import { constants } from 'node:os';
import { nbdUri, type ListenAddress } from '../config/listen-address.js';
import { OverlaybdError, messageOf } from '../errors.js';
import { POLL_READABLE, native, type Poll } from '../native/binding.js';

/** As many as may be connected: a Unix socket refuses a nonblocking client at once when it is full. */
const BACKLOG = 1024;
/** Connections taken in one turn, so that a flood of them does not stop the control plane. */
const ACCEPTS_PER_TURN = 64;
/** With no descriptor left, accepting is tried again after so long. */
const RETRY_MS = 200;
const { EAGAIN, ECONNABORTED, EINTR, EMFILE, ENFILE, ENOMEM, ENOBUFS, EADDRINUSE } =
  constants.errno;

/** What becomes of a connection. */
export type AcceptHandler = (fd: number, peer: string) => void;

export class Listener {
  /** Where clients find it; with the port that the system chose. */
  readonly uri: string;
  readonly #fd: number;
  readonly #poll: Poll;
  readonly #socketFile: SocketFile | null;
  readonly #accept: AcceptHandler;
  readonly #onError: (message: string) => void;
  #retry: NodeJS.Timeout | null = null;
  /** The errno that accepting fails with, told once and not at every try. */
  #failing = 0;
  #closed = false;

  private constructor(
    fd: number,
    address: ListenAddress,
    accept: AcceptHandler,
    onError: (message: string) => void,
  ) {
    this.#fd = fd;
    this.uri = nbdUri(
      address.kind === 'tcp' ? { ...address, port: native.localPort(fd) } : address,
    );
    this.#socketFile = address.kind === 'unix' ? identify(address.path) : null;
    this.#accept = accept;
    this.#onError = onError;
    this.#poll = new native.Poll(fd, () => this.#onReadable());
    this.#poll.start(POLL_READABLE);
  }

  /**
   * Listens on an address. A Unix socket that a dead daemon left behind is replaced.
   * @throws OverlaybdError IO when it cannot
   */
  static async open(
    address: ListenAddress,
    accept: AcceptHandler,
    onError: (message: string) => void,
  ): Promise<Listener> {
    const fd = address.kind === 'tcp' ? await listenTcp(address) : listenUnix(address.path);
    return new Listener(fd, address, accept, onError);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#retry) clearTimeout(this.#retry);
    this.#poll.close();
    native.close(this.#fd);
    if (this.#socketFile) removeOwn(this.#socketFile);
  }

  #onReadable(): void {
    for (let i = 0; i < ACCEPTS_PER_TURN; i++) {
      const fd = native.accept(this.#fd);
      if (fd >= 0) {
        this.#failing = 0;
        this.#accept(fd, native.peerName(fd));
      } else if (fd === -EAGAIN) {
        return;
      } else if (fd !== -ECONNABORTED && fd !== -EINTR) {
        this.#pause(-fd);
        return;
      }
    }
  }

  /** The socket stays readable while accepting fails: do not spin. */
  #pause(errno: number): void {
    if (this.#failing !== errno) {
      const resources = [EMFILE, ENFILE, ENOMEM, ENOBUFS].includes(errno);
      const advice = resources ? '; raise the limit of open files or close connections' : '';
      this.#onError(`${this.uri}: accepting failed with errno ${errno}${advice}`);
    }
    this.#failing = errno;
    this.#poll.stop();
    this.#retry = setTimeout(() => this.#poll.start(POLL_READABLE), RETRY_MS);
  }
}

/** A socket in the file system. */
interface SocketFile {
  readonly path: string;
  readonly device: number;
  readonly inode: number;
}

function identify(path: string): SocketFile | null {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  return stats ? { path, device: stats.dev, inode: stats.ino } : null;
}

/** What has come to be at our path is not ours to remove. */
function removeOwn(ours: SocketFile): void {
  const now = identify(ours.path);
  if (now?.device === ours.device && now.inode === ours.inode) rmSync(ours.path, { force: true });
}

async function listenTcp(address: { host: string; port: number }): Promise<number> {
  let host: string;
  try {
    host = (await lookup(address.host)).address;
  } catch (error) {
    throw new OverlaybdError('IO', `tcp://${address.host}: ${messageOf(error)}`, { cause: error });
  }
  const fd = native.listenTcp(host, address.port, BACKLOG);
  if (fd >= 0) return fd;
  throw listenError(`tcp://${host.includes(':') ? `[${host}]` : host}:${address.port}`, -fd);
}

function listenUnix(path: string): number {
  let fd = native.listenUnix(path, BACKLOG);
  if (fd === -EADDRINUSE && isDeadSocket(path)) {
    unlinkSync(path);
    fd = native.listenUnix(path, BACKLOG);
  }
  if (fd >= 0) return fd;
  if (fd === -EADDRINUSE && lstatSync(path, { throwIfNoEntry: false })?.isSocket() === false) {
    throw new OverlaybdError('IO', `unix://${path}: cannot listen: what is there is not a socket`);
  }
  throw listenError(`unix://${path}`, -fd);
}

/** A socket file that nobody listens to; anything else at the path is not ours to remove. */
function isDeadSocket(path: string): boolean {
  const isSocket = lstatSync(path, { throwIfNoEntry: false })?.isSocket() === true;
  return isSocket && native.probeUnix(path) === -constants.errno.ECONNREFUSED;
}

function listenError(name: string, errno: number): OverlaybdError {
  const known: Record<number, string> = {
    [EADDRINUSE]: 'another process listens there',
    [constants.errno.EACCES]: 'no permission',
    [constants.errno.EADDRNOTAVAIL]: 'this machine has no such address',
    [constants.errno.ENOENT]: 'its folder does not exist',
    [constants.errno.ENAMETOOLONG]: 'the path is too long for a socket (107 bytes)',
  };
  return new OverlaybdError('IO', `${name}: cannot listen: ${known[errno] ?? `errno ${errno}`}`);
}
