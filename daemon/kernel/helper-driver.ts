// Devices by way of the attach helper, for a daemon without privileges.

import { OverlaybdError } from '../errors.js';
import { errnoText } from '../lib/errno.js';
import { MessageChannel } from '../ipc/message-channel.js';
import { ECONNREFUSED, EACCES, ENOENT, native } from '../native/binding.js';
import type { ConnectRequest, NbdDriver } from './driver.js';
import type { DeviceOwner } from './sysfs.js';
import type { HelperAnswer, HelperRequest } from './helper-protocol.js';

interface Waiting {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export class HelperDriver implements NbdDriver {
  readonly survives = true;
  readonly #path: string;
  #channel: MessageChannel | null = null;
  #waiting: Waiting[] = [];

  constructor(path: string) {
    this.#path = path;
  }

  connect(request: ConnectRequest, sockets: readonly number[]): Promise<void> {
    return this.#ask({ do: 'connect', request: plain(request) }, sockets);
  }

  reconfigure(index: number, owner: DeviceOwner, sockets: readonly number[]): Promise<void> {
    return this.#ask({ do: 'reconfigure', index, owner }, sockets);
  }

  disconnectOnClose(index: number, owner: DeviceOwner): Promise<void> {
    return this.#ask({ do: 'disconnectOnClose', index, owner });
  }

  disconnect(index: number, owner: DeviceOwner): Promise<void> {
    return this.#ask({ do: 'disconnect', index, owner });
  }

  close(): void {
    this.#channel?.close();
  }

  #ask(request: HelperRequest, sockets: readonly number[] = []): Promise<void> {
    const channel = this.#open();
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      channel.send(request, sockets);
    });
  }

  /** The helper ends when it is idle, and systemd starts it again for the next connection. */
  #open(): MessageChannel {
    if (this.#channel) return this.#channel;
    const fd = native.connectUnix(this.#path);
    if (fd < 0) throw unreachable(this.#path, -fd);
    const channel = new MessageChannel(fd, {
      message: (answer) => this.#answered(answer as HelperAnswer),
      closed: (error) => {
        this.#channel = null;
        const why = error ?? new OverlaybdError('IO', `${this.#path}: the attach helper ended`);
        for (const { reject } of this.#waiting.splice(0)) reject(why);
      },
    });
    this.#channel = channel;
    return channel;
  }

  #answered(answer: HelperAnswer): void {
    const waiting = this.#waiting.shift();
    if (answer.ok) waiting?.resolve();
    else waiting?.reject(new OverlaybdError(answer.code, answer.message));
  }
}

function plain(request: ConnectRequest): Extract<HelperRequest, { do: 'connect' }>['request'] {
  const { index, size, timeoutSeconds, deadConnTimeoutSeconds, serverFlags, backend } = request;
  const blockSize = request.blockSize as 512 | 1024 | 2048 | 4096;
  return { index, size, blockSize, timeoutSeconds, deadConnTimeoutSeconds, serverFlags, backend };
}

function unreachable(path: string, errno: number): OverlaybdError {
  const known: Record<number, string> = {
    [ENOENT]: 'it is not there: enable overlaybd-nbd-attach-helper.socket',
    [ECONNREFUSED]: 'nobody listens: restart overlaybd-nbd-attach-helper.socket',
    [EACCES]: 'no permission to connect: the daemon must be in its group',
  };
  return new OverlaybdError(
    'PERMISSION',
    `devices need CAP_SYS_ADMIN or the attach helper at ${path}: ${known[errno] ?? errnoText(errno)}`,
  );
}
