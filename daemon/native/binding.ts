// The typed loader of the addon in native/, and the numbers that go with it. The only file that
// knows where the .node file is; no logic of its own.
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { messageOf, OverlaybdError } from '../errors.js';

/**
 * What the addon exports. Unless it says otherwise a function returns a number >= 0, or -errno
 * (compare with `-EAGAIN` and so on), and it throws only for mistakes of the program: TypeError for
 * a wrong type, RangeError for a number that is negative, not an integer, too large, or a range
 * outside its buffer. Nothing blocks on a socket. A buffer may lie over a SharedArrayBuffer.
 * Positions, offsets and lengths are bytes.
 */
export interface Native {
  /** A nonblocking listening socket at a numeric address; -EINVAL if `host` is a name. */
  listenTcp(host: string, port: number, backlog: number): number;
  /**
   * Does not unlink what is at `path`; -ENAMETOOLONG from 108 bytes on, -EADDRINUSE if it exists.
   * Nobody can connect before `mode` (at most 0o777), `uid` and `gid` are as given.
   */
  listenUnix(path: string, backlog: number, mode?: number, uid?: number, gid?: number): number;
  /** `cid` may be VSOCK_CID_ANY; `port` 0 lets the system choose. */
  listenVsock(cid: number, port: number, backlog: number): number;
  /**
   * Takes over a listening socket that the process was started with: nonblocking, not inherited
   * further. -ENOTSOCK, -EPROTOTYPE (no stream), -EINVAL (it does not listen), -EAFNOSUPPORT.
   */
  adoptListener(fd: number): number;
  /**
   * 0 if a process listens at `path` (it sees a connection that ends at once, unless its backlog is
   * full); -ECONNREFUSED if the socket was left behind; -ENOENT if there is none.
   */
  probeUnix(path: string): number;
  /** A nonblocking connection, with TCP_NODELAY and SO_KEEPALIVE if it is TCP; -EAGAIN if none waits. */
  accept(listenFd: number): number;
  /** The port that the socket is bound to; -EAFNOSUPPORT if it is neither TCP nor vsock. */
  localPort(fd: number): number;
  /** "tcp://[::1]:80", "unix:///path", "unix://@abstract", "vsock://2:80", "vsock://:80", "unknown". */
  localName(fd: number): string;
  /**
   * "127.0.0.1:41234", "[fe80::1%eth0]:41234", "pid 123 uid 0" (Unix socket),
   * "vsock cid 3 port 1234", or "unknown".
   */
  peerName(fd: number): string;
  /** The user who connected a Unix socket; -EAFNOSUPPORT if it is another kind of socket. */
  peerUid(fd: number): number;
  /** Bytes received; 0 is the end of the stream, which is why `length` must be at least 1. */
  recv(fd: number, buffer: Uint8Array, offset: number, length: number): number;
  /** Bytes taken by the socket, maybe fewer than `length`; never raises SIGPIPE. */
  send(fd: number, buffer: Uint8Array, offset: number, length: number): number;
  /** Ends one direction or both; by default SHUT_WR: what was sent arrives, then the peer sees the end. */
  shutdown(fd: number, how?: number): number;
  /** Closes any descriptor. A Poll on it must be closed first. */
  close(fd: number): number;
  /**
   * Moves a descriptor out of the way of 0, 1 and 2, and puts /dev/null in its place.
   * @returns the new one, which is not inherited
   */
  takeStandard(fd: number): number;
  /** A connected pair of nonblocking Unix stream sockets. Throws an Error with `code` if it fails. */
  socketpair(): [number, number];

  /** The number of a user or a group; -ENOENT if there is no such name. May wait for a directory. */
  userId(name: string): number;
  groupId(name: string): number;

  /** Reads until `length` or the end of the file; an error after some bytes is an error. May block. */
  pread(fd: number, buffer: Uint8Array, offset: number, length: number, position: number): number;
  /**
   * Reads what is in the page cache now (RWF_NOWAIT). A short result: the rest is not there, or the
   * file ends. -EAGAIN: nothing of it is there. -EOPNOTSUPP: this file system cannot tell.
   */
  preadNoWait(
    fd: number,
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): number;
  /** Where the next data begins, at or after `position`; -ENXIO if there is none. */
  seekData(fd: number, position: number): number;
  /** Where the next hole begins, at or after `position` (at the latest at the end); -ENXIO past it. */
  seekHole(fd: number, position: number): number;
  /** Bytes in a regular file or a block device. Moves the descriptor's own position. */
  fileSize(fd: number): number;
  /** `advice` is one of FADV_*; `length` 0 means up to the end of the file. */
  fadvise(fd: number, offset: number, length: number, advice: number): number;

  /**
   * The raw CRC-32C register after the bytes, starting from `seed`, without inversion before or after
   * (format reference, fact 1). Calls can be chained through `seed`.
   */
  crc32c(buffer: Uint8Array, offset: number, length: number, seed: number): number;
  /**
   * Checks `count` blocks; block i is bytes [bounds[i], bounds[i + 1]) after `base`, its last four
   * the little-endian CRC of those before. Returns -1, or the index of the first block that does
   * not match. RangeError if a block is shorter than 4 bytes or outside the buffer.
   */
  crc32cVerifyBlocks(
    buffer: Uint8Array,
    base: number,
    bounds: Uint32Array,
    count: number,
    seed: number,
  ): number;

  /** Throws an Error with `code`: EEXIST (fd is watched already), EPERM (a regular file), EBADF. */
  readonly Poll: new (fd: number, callback: (this: Poll, events: number) => void) => Poll;
}

/**
 * Watches one descriptor on the loop of the thread that made it, level-triggered. The callback gets
 * POLL_READABLE and POLL_WRITABLE combined; an error or hang-up comes as both, so that recv or send
 * reports it, and comes again until the Poll is stopped. The callback may call any method. What it
 * throws becomes an uncaughtException. The loop stays alive only while a Poll is started. One that
 * is started, or whose callback refers to it, is collected only after `close`.
 */
export interface Poll {
  /** Begins, or changes what is watched. -EBADF once the Poll or the descriptor is closed. */
  start(events: number): number;
  stop(): number;
  /** For good; may be repeated. Never closes the descriptor, and must come before it is closed. */
  close(): number;
}

export const POLL_READABLE = 1;
export const POLL_WRITABLE = 2;
/** The peer has shut down its sending side (EPOLLRDHUP). */
export const POLL_DISCONNECT = 4;

export const SHUT_RD = 0;
export const SHUT_WR = 1;
export const SHUT_RDWR = 2;

/** Any address of this machine, for `listenVsock`. */
export const VSOCK_CID_ANY = 0xffffffff;

/** Advice for `fadvise`: the addon's own numbers, the same on every architecture. */
export const FADV_NORMAL = 0;
export const FADV_RANDOM = 1;
export const FADV_SEQUENTIAL = 2;
export const FADV_WILLNEED = 3;
export const FADV_DONTNEED = 4;
export const FADV_NOREUSE = 5;

export const {
  EACCES,
  EADDRINUSE,
  EADDRNOTAVAIL,
  EAFNOSUPPORT,
  EAGAIN,
  EBADF,
  ECONNABORTED,
  ECONNREFUSED,
  ECONNRESET,
  EINVAL,
  EIO,
  EMFILE,
  ENAMETOOLONG,
  ENOENT,
  ENOTCONN,
  ENOTSOCK,
  ENXIO,
  EOPNOTSUPP,
  EPERM,
  EPIPE,
  EPROTOTYPE,
  ESPIPE,
} = constants.errno;

const BUILT = new URL('../../../native/build/Release/overlaybd_nbd.node', import.meta.url);

function load(): Native {
  // For test/asan only, which runs the unit tests on an addon built with sanitizers.
  const path = process.env['OVERLAYBD_NBD_ADDON'] ?? fileURLToPath(BUILT);
  try {
    return createRequire(import.meta.url)(path) as Native;
  } catch (cause) {
    throw new OverlaybdError(
      'NOT_FOUND',
      `native addon ${path}: not loaded, run npm run build:native: ${messageOf(cause)}`,
      { cause },
    );
  }
}

export const native: Native = load();
