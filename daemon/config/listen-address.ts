// Addresses to listen on, as text: tcp://HOST:PORT, tcp://[V6]:PORT, unix:///PATH. Pure.

import { isIP } from 'node:net';
import { OverlaybdError } from '../errors.js';

export const DEFAULT_PORT = 10809;
export const DEFAULT_LISTEN = `tcp://127.0.0.1:${DEFAULT_PORT}`;

export type ListenAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

/**
 * Parses an address. A missing port is 10809; port 0 lets the system choose.
 * @throws OverlaybdError BAD_CONFIG
 */
export function parseListenAddress(text: string): ListenAddress {
  if (text.startsWith('unix://')) {
    const path = text.slice('unix://'.length);
    if (path === '' || path.includes('\0')) throw bad(text, 'has no path');
    return { kind: 'unix', path };
  }
  const match = /^tcp:\/\/(?:\[([^\]]+)\]|([^:/[\]]+))(?::(\d{1,5}))?\/?$/.exec(text);
  if (!match) throw bad(text, 'is neither tcp://HOST:PORT nor unix:///PATH');
  const host = match[1] ?? match[2] ?? '';
  const port = match[3] === undefined ? DEFAULT_PORT : Number(match[3]);
  if (port > 65535) throw bad(text, 'has a port above 65535');
  if (match[1] !== undefined && isIP(host) !== 6)
    throw bad(text, 'has no IPv6 address in brackets');
  return { kind: 'tcp', host, port };
}

/** The address as clients write it: an NBD URI, without an export's name. */
export function nbdUri(address: ListenAddress): string {
  if (address.kind === 'unix') {
    const path = address.path.split('/').map(encodeURIComponent).join('/');
    return `nbd+unix:///?socket=${path}`;
  }
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  const port = address.port === DEFAULT_PORT ? '' : `:${address.port}`;
  return `nbd://${host}${port}`;
}

function bad(text: string, why: string): OverlaybdError {
  return new OverlaybdError('BAD_CONFIG', `listen address ${JSON.stringify(text)} ${why}`);
}
