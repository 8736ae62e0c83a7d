// Stream sockets: TCP, Unix and vsock. Conventions of all calls: addon.ts.

import { addon } from './addon.js';

/** Any address of this machine, for `listenVsock`. */
export const VSOCK_CID_ANY = 0xffffffff;

/** Directions of `shutdown`. */
export const SHUT_RD = 0;
export const SHUT_WR = 1;
export const SHUT_RDWR = 2;

/** The other end of a connected socket. */
export type PeerAddress =
  /** `host`: "127.0.0.1" or "[fe80::1%eth0]". */
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  /** The process that connected, 0 if it is in another PID namespace, and its user. */
  | { readonly kind: 'unix'; readonly pid: number; readonly uid: number }
  | { readonly kind: 'vsock'; readonly cid: number; readonly port: number };

interface Sockets {
  /** A nonblocking listening socket at a numeric address; -EINVAL if `host` is a name. */
  listenTcp(host: string, port: number, backlog: number): number;
  /**
   * A nonblocking listening socket at `path`. A file that is there already stays: -EADDRINUSE.
   * -ENAMETOOLONG from 108 bytes on. The file appears only when the socket listens and has `mode` (at
   * most 0o777), `uid` and `gid`. Until then it has another name beside `path`, which `localName` and
   * ss(8) keep showing.
   */
  listenUnix(path: string, backlog: number, mode?: number, uid?: number, gid?: number): number;
  /** `cid` may be VSOCK_CID_ANY. With port 0 the system chooses one. */
  listenVsock(cid: number, port: number, backlog: number): number;
  /**
   * Takes over a listening socket that the process inherited: makes it nonblocking and close-on-exec.
   * -ENOTSOCK, -EPROTOTYPE (not a stream socket), -EINVAL (does not listen), -EAFNOSUPPORT.
   */
  adoptListener(fd: number): number;
  /**
   * 0 if a process listens at `path`. Unless its backlog is full, that process sees a connection that
   * ends at once. -ECONNREFUSED if only the file is left; -ENOENT if there is no file.
   */
  probeUnix(path: string): number;
  /**
   * A nonblocking Unix stream connection; a path that begins with "@" is abstract. -ECONNREFUSED if no
   * process listens, -ENOENT, -EACCES, -EAGAIN if the backlog is full.
   */
  connectUnix(path: string): number;
  /** A connected pair of nonblocking Unix stream sockets. Throws an Error with `code` if it fails. */
  pair(): [number, number];
  /**
   * A nonblocking connection, with TCP_NODELAY and SO_KEEPALIVE if it is TCP. -EAGAIN if no connection
   * waits.
   */
  accept(listenFd: number): number;

  /**
   * Ends a TCP connection about `seconds` after its peer has gone; also sets TCP_NODELAY. Fails for
   * other sockets.
   */
  keepAlive(fd: number, seconds: number): number;
  /** Sets TCP_USER_TIMEOUT, which also ends connections whose peer is there and receives nothing. */
  userTimeout(fd: number, milliseconds: number): number;
  /**
   * How much the system keeps of what the peer has not received. It doubles the number, for its own overhead,
   * and limits it (net.core.wmem_max). Without an effect if the socket has as much, or would have less than before
   * because of the limit. Not for TCP, which adapts it until it is set.
   */
  raiseSendBuffer(fd: number, bytes: number): number;

  /** The port that the socket is bound to; -EAFNOSUPPORT if it is neither TCP nor vsock. */
  localPort(fd: number): number;
  /** "tcp://[::1]:80", "unix:///path", "unix://@abstract", "vsock://2:80", "vsock://:80", "unknown". */
  localName(fd: number): string;
  /** Null if unknown: a TCP connection that its peer has reset, or another kind of socket. */
  peerAddress(fd: number): PeerAddress | null;
  /** The user who connected a Unix socket; -EAFNOSUPPORT for other sockets. */
  peerUid(fd: number): number;
  /**
   * The process that connected a Unix socket or, for a listening socket, called listen(2). 0 if that
   * process is in another PID namespace. -EAFNOSUPPORT for other sockets.
   */
  peerPid(fd: number): number;
  /**
   * 1 if the peer of a stream socket has closed it or shut it down, even if bytes are unread; else 0.
   * @internal for tests, which play the kernel: a `recv` would take the bytes that the kernel has not read
   */
  peerClosed(fd: number): number;

  /** How many bytes were received; 0 is the end of the stream, so `length` must be at least 1. */
  recv(fd: number, buffer: Uint8Array, offset: number, length: number): number;
  /** How many bytes the socket took, perhaps fewer than `length`. Never raises SIGPIPE. */
  send(fd: number, buffer: Uint8Array, offset: number, length: number): number;
  /** For a Unix socket: 0 after its peer has received everything that was sent, else more than 0. */
  untaken(fd: number): number;
  /**
   * Ends one direction or both. The default is SHUT_WR: the peer receives what was sent, then the end of
   * the stream.
   */
  shutdown(fd: number, how?: number): number;
}

export const sockets = addon['sockets'] as Sockets;
