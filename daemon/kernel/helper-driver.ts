// Connects devices through the attach helper, for a daemon without privileges.

import { OverlaybdError } from '../errors.js';
import { EACCES, ECONNREFUSED, ENOENT, errnoText } from '../lib/errno.js';
import { MessageChannel } from '../ipc/message-channel.js';
import { sockets } from '../native/socket.js';
import type { ConnectRequest } from './device-settings.js';
import { devicePath } from './device-path.js';
import type { NbdDriver } from './driver.js';
import type { DeviceOwner } from './sysfs.js';
import {
  ANSWER_MS,
  MAX_WAITING_REQUESTS,
  type HelperAnswer,
  type HelperRequest,
} from './helper-protocol.js';
import { receivedError } from '../lib/posted-error.js';

interface Waiting {
  readonly request: HelperRequest;
  /** Descriptors that stay open until the answer is here. */
  readonly passed: readonly number[];
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export class HelperDriver implements NbdDriver {
  readonly survives = true;
  readonly addsDevices = true;
  readonly #path: string;
  readonly #answerMs: number;
  #channel: MessageChannel | null = null;
  /** Requests that were sent, in order. */
  #asked: Waiting[] = [];
  /** Requests that are not sent yet, because the helper limits them. A device has at most one. */
  #later: Waiting[] = [];
  #deadline: NodeJS.Timeout | null = null;

  /** @param answerMs time limit of an answer, in milliseconds */
  constructor(path: string, answerMs = ANSWER_MS) {
    this.#path = path;
    this.#answerMs = answerMs;
  }

  connect(request: ConnectRequest, passed: readonly number[]): Promise<void> {
    return this.#ask({ do: 'connect', request }, passed);
  }

  reconfigure(index: number, { backend }: DeviceOwner, passed: readonly number[]): Promise<void> {
    return this.#ask({ do: 'reconfigure', index, owner: { backend } }, passed);
  }

  disconnectOnClose(index: number, { backend }: DeviceOwner): Promise<void> {
    return this.#ask({ do: 'disconnectOnClose', index, owner: { backend } });
  }

  release(index: number, { backend }: DeviceOwner, onClose: boolean): Promise<void> {
    return this.#ask({ do: 'release', index, owner: { backend }, onClose });
  }

  disconnect(index: number, { backend }: DeviceOwner): Promise<void> {
    return this.#ask({ do: 'disconnect', index, owner: { backend } });
  }

  close(): void {
    this.#channel?.close();
  }

  async #ask(request: HelperRequest, passed: readonly number[] = []): Promise<void> {
    this.#open();
    return new Promise((resolve, reject) => {
      this.#later.push({ request, passed, resolve, reject });
      this.#sendMore();
    });
  }

  #sendMore(): void {
    while (this.#asked.length < MAX_WAITING_REQUESTS) {
      const next = this.#later.shift();
      if (!next) break;
      this.#asked.push(next);
      this.#channel?.send(next.request, next.passed);
    }
    this.#watch();
  }

  /** Sets the deadline of the oldest request: answers come in order. */
  #watch(): void {
    if (this.#deadline) clearTimeout(this.#deadline);
    this.#deadline = null;
    if (this.#asked.length === 0) return;
    this.#deadline = setTimeout(() => {
      const why = `${this.#path}: the attach helper has not answered for ${this.#answerMs / 1000} s`;
      this.#channel?.close(new OverlaybdError('NO_HELPER', why));
    }, this.#answerMs);
  }

  /** Connects to the helper, which ends when it is idle; systemd starts it again for a connection. */
  #open(): void {
    if (this.#channel) return;
    const fd = sockets.connectUnix(this.#path);
    if (fd < 0) throw unreachable(this.#path, -fd);
    this.#channel = new MessageChannel(fd, {
      message: (answer) => this.#answered(answer as HelperAnswer),
      closed: (error) => {
        this.#channel = null;
        const why =
          error ?? new OverlaybdError('NO_HELPER', `${this.#path}: the attach helper ended`);
        const all = [...this.#asked.splice(0), ...this.#later.splice(0)];
        this.#watch();
        for (const { reject } of all) reject(why);
      },
    });
  }

  #answered(answer: HelperAnswer): void {
    const waiting = this.#asked.shift();
    this.#sendMore();
    if (answer.ok) waiting?.resolve();
    else if (waiting) {
      const error = receivedError(answer, 'the attach helper gives no reason');
      error.addFacts({ device: devicePath(indexOf(waiting.request)) });
      waiting.reject(error);
    }
  }
}

function indexOf(request: HelperRequest): number {
  return request.do === 'connect' ? request.request.index : request.index;
}

function unreachable(path: string, errno: number): OverlaybdError {
  const known: Record<number, string> = {
    [ENOENT]: 'it does not exist: enable overlaybd-nbd-attach-helper.socket',
    [ECONNREFUSED]: 'no process listens: restart overlaybd-nbd-attach-helper.socket',
    [EACCES]: 'no permission to connect: the daemon must be in its group',
  };
  return new OverlaybdError(
    'PERMISSION',
    `devices need CAP_SYS_ADMIN or the attach helper at ${path}: ${known[errno] ?? errnoText(errno)}`,
  );
}
