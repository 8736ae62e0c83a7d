// Raw HTTP to a daemon's control socket, as curl would send it. Checks nothing; not control/client.ts.
import { existsSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { tick } from './nbd-client.js';

export interface RawAnswer {
  readonly code: number;
  readonly body: string;
}

export interface RawQuestion {
  readonly method?: string;
  readonly path: string;
  readonly body?: string | Buffer;
}

export function socketOf(state: string): string {
  return join(state, 'control.sock');
}

/** A daemon is ready as soon as clients can connect, which is earlier than its control socket. */
export async function waitForControl(socketPath: string): Promise<void> {
  for (const end = performance.now() + 120_000; !existsSync(socketPath); await tick(5)) {
    if (performance.now() > end) throw new Error(`there is no ${socketPath}`);
  }
}

/** @throws the error that ended the connection, if there is no answer */
export function askRaw(
  socketPath: string,
  { method = 'GET', path, body }: RawQuestion,
): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, path, method, agent: false }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.once('error', reject);
      response.once('end', () => {
        resolve({ code: response.statusCode ?? 0, body: Buffer.concat(parts).toString() });
      });
    });
    sent.once('error', reject);
    sent.end(body);
  });
}
