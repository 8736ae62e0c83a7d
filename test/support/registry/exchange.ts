// One request to the fault front and its answer, with all that is needed to answer it wrongly.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Connections } from './connections.js';
import type { Origin } from './origin.js';
import type { Pace } from './pace.js';
import type { LoggedRequest } from './request-log.js';

export class Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly entry: LoggedRequest;
  readonly connections: Connections;
  readonly pace: Pace;
  /** Resolves when the answer has ended or the client has left. */
  readonly left: Promise<void>;

  constructor(
    { connections, pace }: Origin,
    request: IncomingMessage,
    response: ServerResponse,
    entry: LoggedRequest,
  ) {
    this.request = request;
    this.response = response;
    this.entry = entry;
    this.connections = connections;
    this.pace = pace;
    request.on('error', () => undefined); // a client that leaves is in the log
    response.on('error', () => undefined);
    this.left = new Promise((resolve) => {
      response.once('close', () => {
        entry.end = performance.now();
        if (entry.status === 0 && response.headersSent) entry.status = response.statusCode;
        if (entry.ended === 'open') {
          entry.ended = response.writableFinished ? 'whole' : 'client left';
        }
        resolve();
      });
    });
  }
}
