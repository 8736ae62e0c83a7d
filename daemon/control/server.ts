// The server of the control API: HTTP over a Unix socket that only its owner can use. Passes requests on.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { OverlaybdError, codeOf, messageOf, type ErrorCode } from '../errors.js';
import { printableJson } from '../lib/printable.js';
import {
  API,
  MAX_BODY_LENGTH,
  type AttachAnswer,
  type DaemonStatus,
  type DetachRequest,
  type ErrorAnswer,
} from './api.js';
import { parseAttachRequest } from './requests.js';
import type { AttachRequest } from './requests.js';

/** The operations of the daemon. They throw OverlaybdErrors. */
export interface ControlHandlers {
  status(): Promise<DaemonStatus>;
  attach(request: AttachRequest): Promise<AttachAnswer>;
  detach(device: string, request: DetachRequest): Promise<void>;
  reload(): Promise<void>;
  /** Resolves with the process id of the successor when it has taken over. */
  upgrade(): Promise<number>;
}

const STATUS_CODES: Partial<Record<ErrorCode, number>> = {
  BAD_ARGUMENT: 400,
  PERMISSION: 403,
  NOT_FOUND: 404,
  BUSY: 409,
  UNSUPPORTED: 501,
  NO_KERNEL: 503,
};

export class ControlServer {
  readonly #handlers: ControlHandlers;
  readonly #server: Server;

  /** @param fd a listening socket; the server closes it */
  constructor(fd: number, handlers: ControlHandlers) {
    this.#handlers = handlers;
    this.#server = createServer((request, response) => void this.#serve(request, response));
    this.#server.listen({ fd });
  }

  /** Answers the requests so far, and accepts no more. */
  close(): void {
    this.#server.close();
    this.#server.closeIdleConnections();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const answer = await this.#do(request);
      send(response, answer === undefined ? 204 : 200, answer);
    } catch (error) {
      const code = codeOf(error);
      const body: ErrorAnswer = { code, message: messageOf(error) };
      send(response, STATUS_CODES[code] ?? 500, body);
    }
  }

  async #do(request: IncomingMessage): Promise<unknown> {
    const [pathname = '', query] = (request.url ?? '').split('?', 2);
    const searchParams = new URLSearchParams(query);
    const what = `${request.method ?? ''} ${pathname}`;
    const body = await read(request);
    switch (what) {
      case `GET ${API.status}`:
        return this.#handlers.status();
      case `POST ${API.devices}`:
        return this.#handlers.attach(parseAttachRequest(body));
      case `POST ${API.reload}`:
        return this.#handlers.reload();
      case `POST ${API.upgrade}`:
        return { pid: await this.#handlers.upgrade() };
    }
    const device = new RegExp(`^DELETE ${API.devices}/([^/]+)$`).exec(what)?.[1];
    if (device !== undefined) {
      const flag = (name: string): boolean => searchParams.get(name) === '1';
      const detach = { force: flag('force'), onClose: flag('onClose') };
      return this.#handlers.detach(decode(device), detach);
    }
    throw new OverlaybdError('NOT_FOUND', `control API: there is no ${what}`);
  }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new OverlaybdError('BAD_ARGUMENT', `control API: ${text}: not percent-encoded UTF-8`);
  }
}

async function read(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_BODY_LENGTH) {
      throw new OverlaybdError('BAD_ARGUMENT', `a body has at most ${MAX_BODY_LENGTH} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function send(response: ServerResponse, code: number, body: unknown): void {
  response.statusCode = code;
  if (body === undefined) {
    response.end();
    return;
  }
  response.setHeader('content-type', 'application/json');
  response.end(`${printableJson(body)}\n`);
}
