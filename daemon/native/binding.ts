// The typed loader of the addon in native/, and the numbers that go with it. The only file that
// knows where the .node file is; no logic of its own.
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { messageOf, OverlaybdError } from '../errors.js';
import type { FileCalls } from './file-calls.js';

/**
 * What the addon exports. Unless it says otherwise a function returns a number >= 0, or -errno
 * (compare with `-EAGAIN` and so on), and it throws only for mistakes of the program: TypeError for
 * a wrong type, RangeError for a number that is negative, not an integer, too large, or a range
 * outside its buffer. Nothing blocks on a socket. A buffer may lie over a SharedArrayBuffer.
 * Positions, offsets and lengths are bytes.
 */
/** The other end of a connected socket. */
export type PeerAddress =
  /** `host`: "127.0.0.1" or "[fe80::1%eth0]". */
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  /** The process that connected, 0 if it is of another process namespace, and its user. */
  | { readonly kind: 'unix'; readonly pid: number; readonly uid: number }
  | { readonly kind: 'vsock'; readonly cid: number; readonly port: number };

export interface Native extends FileCalls {
  /** A nonblocking listening socket at a numeric address; -EINVAL if `host` is a name. */
  listenTcp(host: string, port: number, backlog: number): number;
  /**
   * Leaves alone what is at `path`: -EADDRINUSE; -ENAMETOOLONG from 108 bytes on. The file is there
   * only when the socket listens, with `mode` (at most 0o777), `uid` and `gid` as given. Until then it
   * has a name beside `path`, which `localName` and `ss` go on to show.
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
  /** Has a TCP connection end about `seconds` after its peer is gone; sets TCP_NODELAY. Fails for others. */
  keepAlive(fd: number, seconds: number): number;
  /** TCP_USER_TIMEOUT alone; it also ends connections whose peer is there and takes nothing. */
  userTimeout(fd: number, milliseconds: number): number;
  /** The port that the socket is bound to; -EAFNOSUPPORT if it is neither TCP nor vsock. */
  localPort(fd: number): number;
  /** "tcp://[::1]:80", "unix:///path", "unix://@abstract", "vsock://2:80", "vsock://:80", "unknown". */
  localName(fd: number): string;
  /** null if it is not known: a TCP connection that its peer has reset, or another kind of socket. */
  peerAddress(fd: number): PeerAddress | null;
  /** The user who connected a Unix socket; -EAFNOSUPPORT if it is another kind of socket. */
  peerUid(fd: number): number;
  /**
   * The process that connected a Unix socket or, of a listening one, made it listen; 0 if it is of
   * another process namespace. -EAFNOSUPPORT.
   */
  peerPid(fd: number): number;
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
  /**
   * A nonblocking Unix stream connection; a path that begins with "@" is abstract. -ECONNREFUSED if
   * nobody listens, -ENOENT, -EACCES, -EAGAIN if the backlog is full at the moment.
   */
  connectUnix(path: string): number;
  /**
   * 1 if the peer of a stream socket has closed its end or shut it down, whatever of its bytes is
   * still to be received; else 0.
   */
  peerClosed(fd: number): number;
  /** Of a Unix socket: 0 when its peer has received all that was sent, else some number above. */
  untaken(fd: number): number;

  /**
   * `send` with up to MAX_DESCRIPTORS descriptors beside the first of its bytes, over a Unix stream
   * socket. They stay open here. If a number comes back, all of them are on their way, even where it
   * is below `length`, which must be at least 1. -ETOOMANYREFS if too many are on their way already.
   */
  sendDescriptors(
    fd: number,
    buffer: Uint8Array,
    offset: number,
    length: number,
    descriptors: Int32Array,
  ): number;
  /**
   * `recv` that takes descriptors too: they fill `descriptors` (at most MAX_DESCRIPTORS) from the
   * front, not inherited further, and the rest is -1. Stops after bytes that came with some, but
   * earlier bytes may be in front of those: keep descriptors in a queue. -EMSGSIZE: there were more than fit in the array or in
   * this process's table of files; all are closed and the bytes are lost.
   */
  recvDescriptors(
    fd: number,
    buffer: Uint8Array,
    offset: number,
    length: number,
    descriptors: Int32Array,
  ): number;

  /** The number of a user or a group; -ENOENT if there is no such name. May wait for a directory. */
  userId(name: string): number;
  groupId(name: string): number;

  /**
   * A nonblocking pipe: `ends`, of length 2, gets the end to read from and the one to write to.
   * @returns how many bytes it holds, if they fill its pages; the system decides
   */
  makePipe(ends: Int32Array, size: number): number;
  /**
   * Puts bytes of a file into a pipe, without a copy. A short result: the pipe is full, or the file
   * ends. -EAGAIN: some are not in the page cache, and none were taken. -EPERM (a file of somebody
   * else), -EOPNOTSUPP: that cannot be known, or not be done.
   */
  fillPipe(fd: number, position: number, pipe: number, length: number): number;
  /** Moves at most `length` bytes, at least 1, from a pipe to a socket; -EAGAIN when it is full. */
  drainPipe(pipe: number, socket: number, length: number): number;
  /**
   * The raw CRC-32C register after the bytes, starting from `seed`, without inversion before or after
   * ("Checksums" in docs/formats.md). Calls can be chained through `seed`.
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

  /**
   * The number of the kernel's netlink family "nbd"; -ENOENT if it has none: nbd is not loaded.
   * For everybody; the next three need CAP_SYS_ADMIN (-EPERM). All wait for the kernel.
   */
  nbdFamily(): number;
  /**
   * Connects a device to sockets that are in transmission phase. The kernel keeps them; close them
   * here. `index` -1 lets it choose a free device or add one. A timeout of -1 is left out: requests
   * wait without end, respectively fail at once when no connection is left. `serverFlags` are
   * NBD_FLAG_*, `clientFlags` NBD_CFLAG_*. `backend` (at most NBD_BACKEND_MAX bytes) can be read in
   * /sys/block/nbdX/backend from Linux 5.14 on, and is left out if empty.
   * @returns the index; -EBUSY if it is in use or only open (udev probes new devices for a moment),
   * -EINVAL for what the kernel refuses, such as several sockets without NBD_FLAG_CAN_MULTI_CONN
   */
  nbdConnect(
    index: number,
    sizeBytes: number,
    blockSizeBytes: number,
    timeoutSeconds: number,
    deadConnTimeoutSeconds: number,
    serverFlags: number,
    clientFlags: number,
    backend: string,
    sockets: Int32Array,
  ): number;
  /**
   * Gives a connected device new sockets for dead ones. -1 leaves a timeout or the flags as they are,
   * and without sockets that is all it does. `backend` must be the device's own, but one that has
   * none takes any: look in /sys/block/nbdX/backend before.
   * @returns 0, also when sockets were not taken because too few connections are dead: the kernel
   * lets go of those, so that after `close` here `peerClosed` of their other ends is 1. Repeat then:
   * a connection that has ended is dead only when the kernel has noticed, moments later. -EINVAL if
   * the device is not connected, or the backend differs
   */
  nbdReconfigure(
    index: number,
    timeoutSeconds: number,
    deadConnTimeoutSeconds: number,
    clientFlags: number,
    backend: string,
    sockets: Int32Array,
  ): number;
  /**
   * Even if the device is mounted: its reads then fail. It is free only once nobody has it open any
   * more. 0, also if it was not connected; -EINVAL if there is none. Waits up to the device's timeout
   * for a server that does not receive.
   */
  nbdDisconnect(index: number): number;
  /**
   * 1 or 0; -ENODEV if there is no such device. Also 1 if its connections are all dead, or if it is
   * only open somewhere; /sys/block/nbdX/pid is there only while it is connected. For everybody.
   */
  nbdConnected(index: number): number;

  /**
   * Connects /dev/nbdX by ioctls, for kernels without the netlink family. A thread of its own then
   * stays in the kernel until the device is disconnected or a connection ends; only then `ended` is
   * called, with 0 or -errno, and the device is free again. It keeps the loop alive. An environment
   * that ends disconnects the device. -EBUSY if it is in use, -ENOTTY if it is no nbd device; needs
   * CAP_SYS_ADMIN (-EPERM).
   */
  nbdIoctlConnect(
    path: string,
    sizeBytes: number,
    blockSizeBytes: number,
    timeoutSeconds: number,
    serverFlags: number,
    sockets: Int32Array,
    ended: (result: number) => void,
  ): number;
  /** Disconnects a device, by whichever means it was connected. -ENOTCONN if it is not, -ENOTTY. */
  nbdIoctlDisconnect(path: string): number;

  /** Takes the file for this process (flock) until `fd` is closed; -EWOULDBLOCK if another has it. */
  lockFile(fd: number): number;
  /** Whether a child inherits the descriptor: 1 means it does not, as for all that the addon opens. */
  cloexec(fd: number, on: 0 | 1): number;
  /**
   * Sends one datagram, under 4 KiB, to a service manager's socket; "@" in front of the path means
   * abstract. -EAGAIN if the manager is behind.
   */
  notify(path: string, text: string): number;
  /**
   * Keeps the program itself in memory, with its libraries and addons, so that it runs even when
   * they lie on a disk that it serves. Not heaps: V8 cannot live with locked ones; only a service
   * without swap (MemorySwapMax=0) keeps those.
   * @returns bytes, about 100 MB of address space, all resident from then on; -ENOMEM or -EPERM if
   * RLIMIT_MEMLOCK is less and the process has no CAP_IPC_LOCK
   */
  lockMemory(): number;
  /**
   * Gives the pages that lie wholly within these bytes back to the system at once, where the garbage
   * collector would do it some time later. Their bytes are zeros from then on.
   * @returns bytes that were given back; -errno
   */
  releasePages(bytes: Uint8Array): number;
  /**
   * Marks the calling thread as one that serves a disk (PR_SET_IO_FLUSHER), and so those it starts
   * later: their allocations never wait for the disk. -EPERM without CAP_SYS_RESOURCE, -EINVAL before
   * Linux 5.6.
   */
  ioFlusher(): number;
  /**
   * Ends the process with `code` after so long, whatever its threads are doing by then: `process.exit`
   * waits for all of Node's.
   */
  exitWithin(milliseconds: number, code: number): number;
  /** 1 if the calling thread has the capability in effect, else 0. */
  hasCapability(capability: number): number;

  /** Throws an Error with `code`: EEXIST (fd is watched already), EPERM (a regular file), EBADF. */
  readonly Poll: new (fd: number, callback: (this: Poll, events: number) => void) => Poll;

  /**
   * The version of the system's library for a codec, CODEC_LZ4 or CODEC_ZSTD; '' if the library is
   * not there. It is looked for once.
   */
  codecVersion(codec: number): string;
  /**
   * Checks and decodes blocks [first, first + count) of `src`, at least one; block i is bytes
   * [bounds[i], bounds[i + 1]) after `base`, of which the last `crcSize`, 4 or 0, are the
   * little-endian CRC of those before, from `seed`. The plain bytes go to `dst` at `dstOffset`, one
   * block behind the other: `blockSize` bytes of each, `lastSize` of the last. Returns -1, or the
   * index of the first block whose CRC is wrong or that does not decode to its size; `dst` is in any
   * state from there on. RangeError if a block up to that one is outside `src` or shorter than its
   * CRC, or if there is no room; Error if the codec's library is not there. Keeps a decoder for each
   * thread.
   */
  decodeBlocks(
    codec: number,
    src: Uint8Array,
    base: number,
    bounds: Uint32Array,
    first: number,
    count: number,
    dst: Uint8Array,
    dstOffset: number,
    blockSize: number,
    lastSize: number,
    crcSize: number,
    seed: number,
  ): number;
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

/** Codecs of `decodeBlocks`: the addon's own numbers. */
export const CODEC_LZ4 = 0;
export const CODEC_ZSTD = 1;

/** Any address of this machine, for `listenVsock`. */
export const VSOCK_CID_ANY = 0xffffffff;

/** How many descriptors go with one message, or with one call for a device. */
export const MAX_DESCRIPTORS = 64;

/** How long a backend identifier may be, bytes. */
export const NBD_BACKEND_MAX = 255;

/** Client flags of a device (linux/nbd.h): it is removed, respectively disconnected, after use. */
export const NBD_CFLAG_DESTROY_ON_DISCONNECT = 1;
export const NBD_CFLAG_DISCONNECT_ON_CLOSE = 2;

/** Capabilities (linux/capability.h). */
export const CAP_IPC_LOCK = 14;
export const CAP_SYS_ADMIN = 21;
export const CAP_SYS_RESOURCE = 24;

export const {
  EACCES,
  EADDRINUSE,
  EADDRNOTAVAIL,
  EAFNOSUPPORT,
  EAGAIN,
  EBADF,
  EBUSY,
  ECONNABORTED,
  ECONNREFUSED,
  ECONNRESET,
  EINVAL,
  EIO,
  EISDIR,
  EMFILE,
  EMSGSIZE,
  ENAMETOOLONG,
  ENODEV,
  ENOENT,
  ENOMEM,
  ENOSPC,
  ENOTCONN,
  ETIMEDOUT,
  ENOTSOCK,
  ENOTTY,
  ENOSYS,
  ENXIO,
  EOPNOTSUPP,
  EPERM,
  EPIPE,
  EPROTOTYPE,
  ESPIPE,
  EWOULDBLOCK,
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
