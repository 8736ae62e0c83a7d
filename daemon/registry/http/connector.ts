// Makes a connection, and notes how long its phases take: to find the address, to connect, TLS.

import { connect, type LookupFunction } from 'node:net';
import { buildConnector, errors } from 'undici';
import type { ConnectPhase } from './counters.js';

export interface ConnectSeams {
  readonly lookup: LookupFunction;
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number;
  /** @param host "registry.example:5000" */
  readonly took: (host: string, phase: ConnectPhase, milliseconds: number) => void;
}

/** As undici has them for sockets that it makes itself. */
const SOCKET = {
  highWaterMark: 64 << 10,
  keepAlive: true,
  keepAliveInitialDelay: 60_000,
  noDelay: true,
} as const;

/**
 * For the option `connect` of pools.
 * @param secure options of TLS
 * @param connectMs for all phases together
 */
export function timedConnector(
  { lookup, now, took }: ConnectSeams,
  secure: buildConnector.BuildOptions,
  connectMs: number,
): buildConnector.connector {
  const startTls = buildConnector({ ...secure, timeout: 0 });
  return (options, callback) => {
    const { hostname, host = hostname, protocol } = options;
    const isSecure = protocol === 'https:';
    const port = Number(options.port || (isSecure ? 443 : 80));
    let began = now();
    const ended = (phase: ConnectPhase): void => {
      const at = now();
      took(host, phase, at - began);
      began = at;
    };
    let isOver = false;
    const finish: typeof callback = (...result) => {
      if (isOver) return;
      isOver = true;
      clearTimeout(timer);
      callback(...result);
    };
    const socket = connect({ ...SOCKET, host: hostname, port, lookup });
    const timer = setTimeout(() => {
      finish(new errors.ConnectTimeoutError(`no connection to ${host} in time`), null);
      socket.destroy();
    }, connectMs);
    socket.on('error', (error) => finish(error, null));
    // One for each address that is tried, or one for an error.
    socket.once('lookup', (error: Error | null) => {
      if (error === null) ended('dns');
    });
    socket.once('connect', () => {
      ended('connect');
      if (!isSecure) {
        finish(null, socket);
        return;
      }
      startTls({ ...options, httpSocket: socket }, (...result) => {
        if (result[0] === null) ended('tls');
        finish(...result);
      });
    });
  };
}
