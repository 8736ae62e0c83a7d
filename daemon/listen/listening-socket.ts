// Listening sockets: creates them for an address, takes over inherited ones, removes them. Accepts nothing.

import { lstatSync, openSync, rmSync, statSync, unlinkSync, type Stats } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { addressText, nbdUri, parseListenAddress } from '../config/listen-address.js';
import type { ListenerSpec } from '../config/listener.js';
import { OverlaybdError, messageOf } from '../errors.js';
import {
  EACCES,
  EADDRINUSE,
  EADDRNOTAVAIL,
  EAFNOSUPPORT,
  ECONNREFUSED,
  EISDIR,
  ENAMETOOLONG,
  ENOENT,
  EPERM,
  EWOULDBLOCK,
  errnoText,
} from '../lib/errno.js';
import { descriptors } from '../native/descriptors.js';
import { VSOCK_CID_ANY, sockets } from '../native/socket.js';
import { groupId, userId } from './accounts.js';

/** The connection limit: a full Unix socket refuses a nonblocking client at once. */
const BACKLOG = 1024;

/** Bytes of sun_path without the zero at its end. */
const MAX_SOCKET_PATH = 107;
/** How long to wait for the lock of a folder whose dead socket is to be replaced. */
const LOCK_TIMEOUT_MS = 5000;
const LOCK_RETRY_MS = 20;

export interface ListeningSocket {
  readonly fd: number;
  /** The NBD URI, with the port that the system chose. */
  readonly uri: string;
  /** The file to remove when it is closed. */
  readonly file: SocketFile | null;
}

/** A socket in the file system. */
export interface SocketFile {
  readonly path: string;
  readonly device: number;
  readonly inode: number;
}

/** Looks up all addresses of a name. A test passes its own. */
export type Resolve = (host: string) => Promise<readonly string[]>;

/** @returns the address for which this daemon listens at a URI already, or at all addresses with its port */
export type ListensAt = (uri: string) => string | undefined;

/**
 * What is wrong with an address wherever other sockets are.
 * @throws OverlaybdError as {@link openListening} does
 */
export function checkListening({ address, owner, group }: ListenerSpec): void {
  if (address.kind === 'fd') throw notPassed(address.name);
  if (address.kind !== 'unix') return;
  if (owner !== undefined) userId(owner);
  if (group !== undefined) groupId(group);
  const { path } = address;
  const name = `unix://${path}`;
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH) throw listenError(name, ENAMETOOLONG);
  if (looked(() => statSync(dirname(path), { throwIfNoEntry: false })) === undefined) {
    throw listenError(name, ENOENT);
  }
  const there = looked(() => lstatSync(path, { throwIfNoEntry: false }));
  if (there?.isDirectory()) throw listenError(name, EISDIR);
  if (there && !there.isSocket()) throw noSocket(path);
}

/** @returns null if that cannot be said now: what listens says why */
function looked(look: () => Stats | undefined): Stats | undefined | null {
  try {
    return look();
  } catch {
    return null;
  }
}

function notPassed(name: string): OverlaybdError {
  return new OverlaybdError('BAD_CONFIG', `fd://${name}: no socket of that name was passed`);
}

function noSocket(path: string): OverlaybdError {
  return new OverlaybdError('SOCKET', `unix://${path}: cannot listen: the path is not a socket`);
}

/**
 * Listens on an address, or on each address of a name. Replaces a Unix socket that a dead daemon has left.
 * @throws OverlaybdError IO if it cannot listen; no socket is left open
 */
export async function openListening(
  spec: ListenerSpec,
  listensAt: ListensAt = () => undefined,
  resolve: Resolve = resolveHost,
): Promise<ListeningSocket[]> {
  const { address } = spec;
  switch (address.kind) {
    case 'tcp':
      return listenTcp(address, await resolve(address.host), listensAt);
    case 'unix':
      return [await listenUnix(address.path, spec, listensAt)];
    case 'vsock':
      return [listenVsock(address, listensAt)];
    case 'fd':
      throw notPassed(address.name);
  }
}

/** A socket of the service manager, which also removes it. */
export function takeListening(fd: number): ListeningSocket & { readonly isUnix: boolean } {
  const name = sockets.localName(fd);
  const uri = name === 'unknown' ? name : nbdUri(parseListenAddress(name));
  return { fd, uri, file: null, isUnix: name.startsWith('unix://') };
}

/**
 * The control socket: only its owner can connect. The lock of the folder keeps other daemons away.
 * @param taken the listening socket of a predecessor; null creates one
 * @throws OverlaybdError IO
 */
export function listenControl(path: string, taken: number | null): ListeningSocket {
  if (taken !== null) return { fd: taken, uri: path, file: identify(path) };
  const listen = (): number => sockets.listenUnix(path, BACKLOG, 0o600);
  const fd = listen();
  return unixSocket(path, fd === -EADDRINUSE ? replaceDead(path, listen) : fd);
}

export function closeListening({ fd, file }: ListeningSocket): void {
  // While it listens, no process replaces it as dead, so its path is still ours.
  removeSocketFile(file);
  descriptors.close(fd);
}

export function removeSocketFile(file: SocketFile | null): void {
  if (!file) return;
  // If another file is at our path now, leave it.
  const now = identify(file.path);
  if (now?.device === file.device && now.inode === file.inode) rmSync(file.path, { force: true });
}

function identify(path: string): SocketFile | null {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  return stats ? { path, device: stats.dev, inode: stats.ino } : null;
}

async function resolveHost(host: string): Promise<string[]> {
  try {
    // Loaded here: most daemons listen on Unix sockets only.
    const { lookup } = process.getBuiltinModule('node:dns/promises');
    const addresses = await lookup(host, { all: true });
    return [...new Set(addresses.map(({ address }) => address))];
  } catch (error) {
    throw new OverlaybdError('LOOKUP', `tcp://${host}: ${messageOf(error)}`, { cause: error });
  }
}

/** With port 0, the system chooses a port for the first address, and the others use the same one. */
function listenTcp(
  address: { port: number },
  hosts: readonly string[],
  listensAt: ListensAt,
): ListeningSocket[] {
  const opened: ListeningSocket[] = [];
  let missing: OverlaybdError | null = null;
  let { port } = address;
  for (const host of hosts) {
    const fd = sockets.listenTcp(host, port, BACKLOG);
    if (fd >= 0) {
      port = sockets.localPort(fd);
      opened.push({ fd, uri: nbdUri({ kind: 'tcp', host, port }), file: null });
      continue;
    }
    const ours = listensAt(nbdUri({ kind: 'tcp', host, port }));
    const error = listenError(addressText({ kind: 'tcp', host, port }), -fd, ours);
    // A name may have an IPv6 address although this machine has no IPv6.
    if (fd === -EADDRNOTAVAIL || fd === -EAFNOSUPPORT) {
      missing ??= error;
      continue;
    }
    for (const socket of opened) closeListening(socket);
    throw error;
  }
  if (opened.length === 0 && missing) throw missing;
  return opened;
}

function listenVsock(
  { cid, port }: { cid: number | null; port: number },
  listensAt: ListensAt,
): ListeningSocket {
  const address = { kind: 'vsock', cid, port } as const;
  const fd = sockets.listenVsock(cid ?? VSOCK_CID_ANY, port, BACKLOG);
  if (fd < 0) throw listenError(addressText(address), -fd, listensAt(nbdUri(address)));
  return { fd, uri: nbdUri({ kind: 'vsock', cid, port: sockets.localPort(fd) }), file: null };
}

async function listenUnix(
  path: string,
  spec: Pick<ListenerSpec, 'mode' | 'owner' | 'group'>,
  listensAt: ListensAt,
): Promise<ListeningSocket> {
  const uid = spec.owner === undefined ? undefined : userId(spec.owner);
  const gid = spec.group === undefined ? undefined : groupId(spec.group);
  const listen = (): number => sockets.listenUnix(path, BACKLOG, spec.mode, uid, gid);
  const fd = listen();
  const ours = listensAt(nbdUri({ kind: 'unix', path }));
  if (fd !== -EADDRINUSE || !isDeadSocket(path)) return unixSocket(path, fd, ours);
  // Lock: if two daemons find the same dead socket, the second would remove the new socket of the first.
  const lock = await lockFolder(path);
  try {
    return unixSocket(path, replaceDead(path, listen));
  } finally {
    if (lock !== null) descriptors.close(lock);
  }
}

function replaceDead(path: string, listen: () => number): number {
  if (!isDeadSocket(path)) return -EADDRINUSE;
  unlinkSync(path);
  return listen();
}

/** @returns null if the file system has no such locks, or we may not read the folder */
async function lockFolder(path: string): Promise<number | null> {
  let fd;
  try {
    fd = openSync(dirname(path), 'r');
  } catch {
    return null;
  }
  let locked = descriptors.lockFile(fd);
  for (const end = Date.now() + LOCK_TIMEOUT_MS; locked === -EWOULDBLOCK;) {
    if (Date.now() > end) {
      descriptors.close(fd);
      const message = `unix://${path}: cannot listen: the path is a dead socket, and another process holds the lock (flock) of its folder`;
      throw new OverlaybdError('BUSY', message);
    }
    await pause(LOCK_RETRY_MS);
    locked = descriptors.lockFile(fd);
  }
  if (locked === 0) return fd;
  descriptors.close(fd);
  return null;
}

/** @param ours the address for which this daemon listens there already */
function unixSocket(path: string, fd: number, ours?: string): ListeningSocket {
  if (fd >= 0) return { fd, uri: nbdUri({ kind: 'unix', path }), file: identify(path) };
  if (fd === -EADDRINUSE && lstatSync(path, { throwIfNoEntry: false })?.isSocket() === false) {
    throw noSocket(path);
  }
  throw listenError(`unix://${path}`, -fd, ours);
}

/** Whether the path is a socket on which no process listens. Other files are not ours to remove. */
function isDeadSocket(path: string): boolean {
  const isSocket = lstatSync(path, { throwIfNoEntry: false })?.isSocket() === true;
  return isSocket && sockets.probeUnix(path) === -ECONNREFUSED;
}

/** The fact `failure` of the error about a place at which another process listens. */
export const TAKEN = 'address in use';

function listenError(name: string, errno: number, ours?: string): OverlaybdError {
  const known: Record<number, string> = {
    [EADDRINUSE]:
      ours === undefined
        ? 'another process listens there'
        : `this daemon listens there already: ${ours} is the same address`,
    [EACCES]: 'no permission',
    [EPERM]: 'no permission to give the socket that owner or group',
    [EADDRNOTAVAIL]: 'this machine has no such address',
    [EAFNOSUPPORT]: 'this machine does not support such addresses',
    [ENOENT]: 'its folder does not exist',
    [EISDIR]: 'the path is a folder',
    [ENAMETOOLONG]: 'the path is too long for a socket (107 bytes)',
  };
  const message = `${name}: cannot listen: ${known[errno] ?? errnoText(errno)}`;
  const facts = errno === EADDRINUSE && ours === undefined ? { failure: TAKEN } : {};
  return new OverlaybdError('SOCKET', message, { facts });
}
