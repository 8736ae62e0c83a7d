// Sends requests to a running daemon over its control socket.

import { request as httpRequest } from 'node:http';
import { messageOf, type ErrorCode, type OverlaybdError } from '../errors.js';
import { errorOf } from '../lib/fault.js';
import { receivedError } from '../lib/posted-error.js';
import {
  API,
  type AttachAnswer,
  type DaemonStatus,
  type DetachRequest,
  type ExportList,
  type ExportStatus,
} from './api.js';
import type { AttachRequest, ExportRequest } from './requests.js';

export class ControlClient {
  readonly #socket: string;
  readonly #answerMs: number | undefined;

  /**
   * @param socket path of the control socket; each request makes a new connection
   * @param answerMs time limit of an answer; without it there is none, because opening images takes time
   */
  constructor(socket: string, answerMs?: number) {
    this.#socket = socket;
    this.#answerMs = answerMs;
  }

  /** @throws OverlaybdError NO_DAEMON if no daemon runs; the errors of the daemon */
  status(): Promise<DaemonStatus> {
    return this.#ask('GET', API.status) as Promise<DaemonStatus>;
  }

  attach(request: AttachRequest): Promise<AttachAnswer> {
    return this.#ask('POST', API.devices, request) as Promise<AttachAnswer>;
  }

  async detach(device: string, { force, onClose }: DetachRequest): Promise<void> {
    const name = encodeURIComponent(device);
    const query = `force=${force ? 1 : 0}&onClose=${onClose ? 1 : 0}`;
    await this.#ask('DELETE', `${API.devices}/${name}?${query}`);
  }

  async reload(): Promise<void> {
    await this.#ask('POST', API.reload);
  }

  /** @returns the process id of the successor */
  async upgrade(): Promise<number> {
    return ((await this.#ask('POST', API.upgrade)) as { pid: number }).pid;
  }

  exports(): Promise<ExportList> {
    return this.#ask('GET', API.exports) as Promise<ExportList>;
  }

  addExport(name: string, request: ExportRequest): Promise<ExportStatus> {
    return this.#ask('PUT', exportPath(name), request) as Promise<ExportStatus>;
  }

  async removeExport(name: string): Promise<void> {
    await this.#ask('DELETE', exportPath(name));
  }

  #ask(method: string, path: string, body?: unknown): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const request = httpRequest(
        {
          socketPath: this.#socket,
          path,
          method,
          agent: false,
          ...(this.#answerMs !== undefined && { signal: AbortSignal.timeout(this.#answerMs) }),
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('error', reject);
          response.on('end', () => {
            try {
              const text = Buffer.concat(chunks).toString('utf8');
              const value: unknown = text === '' ? undefined : JSON.parse(text);
              if ((response.statusCode ?? 500) < 300) resolve(value);
              else reject(receivedError(value, 'the daemon gives no reason'));
            } catch (error) {
              reject(this.#error('SOCKET', `no answer: ${messageOf(error)}`, error));
            }
          });
        },
      );
      request.on('error', (error: NodeJS.ErrnoException) => reject(this.#noAnswer(error)));
      request.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  #noAnswer(error: NodeJS.ErrnoException): OverlaybdError {
    if (error.code === 'EACCES') {
      const why = 'no permission to ask the daemon; run as its user or root';
      return this.#error('PERMISSION', why, error);
    }
    if (error.name === 'AbortError' || error.name === 'TimeoutError') {
      const seconds = (this.#answerMs ?? 0) / 1000;
      return this.#error('NO_DAEMON', `the daemon has not answered for ${seconds} s`, error);
    }
    const absent = error.code === 'ENOENT' || error.code === 'ECONNREFUSED';
    const why = absent ? 'no daemon is running there' : messageOf(error);
    return this.#error(absent ? 'NO_DAEMON' : 'SOCKET', why, error);
  }

  #error(code: ErrorCode, why: string, cause: unknown): OverlaybdError {
    return errorOf(code, { path: this.#socket }, why, cause);
  }
}

function exportPath(name: string): string {
  return `${API.exports}/${encodeURIComponent(name)}`;
}
