// The server of the control API: HTTP over a Unix socket that only its owner can use. Passes requests on.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { OverlaybdError, type ErrorCode } from '../errors.js';
import { postedError } from '../lib/posted-error.js';
import { printableJson } from '../lib/printable.js';
import { MAX_BODY_LENGTH, type ErrorAnswer } from './api.js';
import { answer, type ControlHandlers } from './routes.js';

const STATUS_CODES: Partial<Record<ErrorCode, number>> = {
  BAD_ARGUMENT: 400,
  PERMISSION: 403,
  NOT_FOUND: 404,
  BUSY: 409,
  UNSUPPORTED: 501,
  NO_KERNEL: 503,
};

export class ControlServer {
  #handlers: ControlHandlers;
  readonly #server: Server;

  /** @param fd a listening socket; the server closes it */
  constructor(fd: number, handlers: ControlHandlers) {
    this.#handlers = handlers;
    this.#server = createServer((request, response) => void this.#serve(request, response));
    this.#server.listen({ fd });
  }

  /** From now on, these do what is asked. */
  use(handlers: ControlHandlers): void {
    this.#handlers = handlers;
  }

  /** Answers the requests so far, and accepts no more. */
  close(): void {
    this.#server.close();
    this.#server.closeIdleConnections();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const { method = '', url = '' } = request;
      const result = await answer({ method, url, body: await read(request) }, this.#handlers);
      send(response, result === undefined ? 204 : 200, result);
    } catch (error) {
      const body: ErrorAnswer = postedError(error);
      send(response, STATUS_CODES[body.code] ?? 500, body);
    }
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
