// The HTTP server of --metrics-listen: metrics, and the answers to probes. Anyone who can connect may ask; it changes
// nothing and says nothing secret.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { lstatSync, rmSync } from 'node:fs';
import type { DaemonStatus } from '../control/api.js';
import type { MetricsAddress } from '../config/metrics-address.js';

/** An idle or slow client is disconnected after this time. */
const CLIENT_MS = 10_000;
const MAX_CLIENTS = 64;

export interface MetricsHandlers {
  /** In the format of Prometheus. */
  metrics(): Promise<string>;
  status(): Promise<DaemonStatus>;
}

export class MetricsServer {
  readonly #server: Server;

  constructor(handlers: MetricsHandlers) {
    this.#server = createServer((request, response) => void answer(handlers, request, response));
    this.#server.maxConnections = MAX_CLIENTS;
    this.#server.requestTimeout = this.#server.headersTimeout = CLIENT_MS;
  }

  /** @throws Error of the system, such as EADDRINUSE */
  async listen(address: MetricsAddress): Promise<void> {
    if ('path' in address) removeSocket(address.path);
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(address, resolve);
    });
    this.#server.unref();
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

/** Removes the socket of an earlier daemon, and no other kind of file. */
function removeSocket(path: string): void {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() === true)
    rmSync(path, { force: true });
}

async function answer(
  handlers: MetricsHandlers,
  { method, url = '' }: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    const [path = ''] = url.split('?', 1);
    if (method !== 'GET' && method !== 'HEAD') return send(response, 405, 'only GET\n');
    switch (path) {
      case '/metrics':
        return send(response, 200, await handlers.metrics(), 'text/plain; version=0.0.4');
      case '/healthz':
        return send(response, 200, 'ok\n');
      case '/readyz':
        return ready(response, await handlers.status());
      default:
        return send(response, 404, 'there are /metrics, /healthz and /readyz\n');
    }
  } catch {
    send(response, 500, 'the status is not available\n');
  }
}

/** Ready: every export is served, and every device has its connections. */
function ready(response: ServerResponse, { exports, devices }: DaemonStatus): void {
  const waiting = [
    ...exports
      .filter(({ state }) => state !== 'served')
      .map(({ name, state, problem }) => {
        return { export: name, state, reason: problem?.message ?? null };
      }),
    ...devices
      .filter(({ state }) => state !== 'connected')
      .map(({ device, state }) => {
        return { device, state, reason: null };
      }),
  ];
  const body = { ready: waiting.length === 0, waiting };
  send(response, waiting.length === 0 ? 200 : 503, `${JSON.stringify(body)}\n`, 'application/json');
}

function send(response: ServerResponse, code: number, body: string, type = 'text/plain'): void {
  response.statusCode = code;
  response.setHeader('content-type', `${type}; charset=utf-8`);
  response.end(body);
}
