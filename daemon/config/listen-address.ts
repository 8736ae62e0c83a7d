// Addresses to listen on, as text: tcp://HOST:PORT, tcp://[V6]:PORT, unix:///PATH,
// vsock://CID:PORT, and fd://NAME for a socket that systemd passed. Pure.

import type { OverlaybdError } from '../errors.js';
import { errorOf } from '../lib/fault.js';

const DEFAULT_PORT = 10809;
export const DEFAULT_LISTEN = `tcp://127.0.0.1:${DEFAULT_PORT}`;

export type ListenAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string }
  /** `cid` null stands for any CID of this machine. */
  | { readonly kind: 'vsock'; readonly cid: number | null; readonly port: number }
  /** Every passed socket of that name. */
  | { readonly kind: 'fd'; readonly name: string };

/** The largest CID and port; the next number means any. */
const MAX_VSOCK = 0xffff_fffe;

/**
 * Parses an address. A missing port is 10809; port 0 lets the system choose.
 * @throws OverlaybdError BAD_CONFIG
 */
export function parseListenAddress(text: string): ListenAddress {
  if (text.startsWith('unix://')) {
    const path = text.slice('unix://'.length);
    if (path === '' || path.includes('\0')) throw wrongAddress(text, 'has no path');
    // A relative path would mean another file to a client, or to the daemon after an upgrade.
    if (!path.startsWith('/'))
      throw wrongAddress(text, 'has a path that is not absolute: unix:///PATH');
    return { kind: 'unix', path };
  }
  if (text.startsWith('fd://')) {
    const name = text.slice('fd://'.length);
    // The characters that systemd allows in a name; a colon separates names.
    if (!/^[\x21-\x39\x3b-\x7e]{1,255}$/.test(name))
      throw wrongAddress(text, 'has no name of a socket');
    return { kind: 'fd', name };
  }
  if (text.startsWith('vsock://')) return parseVsock(text);
  const match = /^tcp:\/\/(?:\[([^\]]+)\]|([^:/[\]]+))(?::(\d{1,5}))?\/?$/.exec(text);
  if (!match)
    throw wrongAddress(
      text,
      'is not one of tcp://HOST:PORT, unix:///PATH, vsock://CID:PORT, fd://NAME',
    );
  const host = match[1] ?? match[2] ?? '';
  const port = match[3] === undefined ? DEFAULT_PORT : Number(match[3]);
  if (port > 65535) throw wrongAddress(text, 'has a port above 65535');
  // Loaded here: most daemons listen at none.
  if (match[1] !== undefined && !process.getBuiltinModule('node:net').isIPv6(host))
    throw wrongAddress(text, 'has no IPv6 address in brackets');
  return { kind: 'tcp', host, port };
}

function parseVsock(text: string): ListenAddress {
  const match = /^vsock:\/\/(\d{1,10})?(?::(\d{1,10}))?\/?$/.exec(text);
  if (!match) throw wrongAddress(text, 'is neither vsock://:PORT nor vsock://CID:PORT');
  const cid = match[1] === undefined ? null : Number(match[1]);
  const port = match[2] === undefined ? DEFAULT_PORT : Number(match[2]);
  if (cid !== null && cid > MAX_VSOCK) throw wrongAddress(text, `has a CID above ${MAX_VSOCK}`);
  if (port > MAX_VSOCK) throw wrongAddress(text, `has a port above ${MAX_VSOCK}`);
  return { kind: 'vsock', cid, port };
}

/** An address as {@link parseListenAddress} takes it. */
export function addressText(address: ListenAddress): string {
  switch (address.kind) {
    case 'unix':
      return `unix://${address.path}`;
    case 'tcp':
      return `tcp://${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`;
    case 'vsock':
      return `vsock://${address.cid ?? ''}:${address.port}`;
    case 'fd':
      return `fd://${address.name}`;
  }
}

/**
 * The NBD URI of an address, without an export. A vsock listener on any CID has no URI, because this machine
 * does not know the CID that clients use; the result is then the address itself.
 */
export function nbdUri(address: ListenAddress): string {
  switch (address.kind) {
    case 'unix': {
      // A passed socket with an abstract address.
      if (address.path.startsWith('@')) return `unix://${address.path}`;
      const path = address.path.split('/').map(encodeURIComponent).join('/');
      return `nbd+unix:///?socket=${path}`;
    }
    case 'tcp': {
      const host = address.host.includes(':') ? `[${escapeScope(address.host)}]` : address.host;
      return `nbd://${host}${portText(address.port)}`;
    }
    case 'vsock':
      return address.cid === null
        ? `vsock://:${address.port}`
        : `nbd+vsock://${address.cid}${portText(address.port)}`;
    case 'fd':
      return `fd://${address.name}`;
  }
}

function portText(port: number): string {
  return port === DEFAULT_PORT ? '' : `:${port}`;
}

/** RFC 6874. */
function escapeScope(host: string): string {
  return host.replace('%', '%25');
}

function wrongAddress(text: string, why: string): OverlaybdError {
  const got = JSON.stringify(text);
  return errorOf('BAD_CONFIG', { got }, `listen address ${got} ${why}`);
}
