// The attach helper: does the few things that need CAP_SYS_ADMIN for a daemon that has no
// privileges. Opens no image and no device; touches free devices and those of our backends only.

import { messageOf, OverlaybdError } from '../errors.js';
import { MessageChannel } from '../ipc/message-channel.js';
import { native } from '../native/binding.js';
import type { NbdDriver } from './driver.js';
import { parseHelperRequest, type HelperAnswer, type HelperRequest } from './helper-protocol.js';

/** Daemons of one machine; each has one connection. */
const MAX_CONNECTIONS = 64;

export type HelperLog = (level: 'info' | 'warn' | 'error', message: string) => void;

export class AttachHelper {
  readonly #driver: NbdDriver;
  readonly #users: ReadonlySet<number>;
  readonly #log: HelperLog;
  readonly #idle: () => void;
  readonly #channels = new Set<MessageChannel>();

  /**
   * @param users who may ask, besides root
   * @param idle told whenever the last connection is gone
   */
  constructor(driver: NbdDriver, users: readonly number[], log: HelperLog, idle: () => void) {
    this.#driver = driver;
    this.#users = new Set([0, ...users]);
    this.#log = log;
    this.#idle = idle;
  }

  get connections(): number {
    return this.#channels.size;
  }

  /** Takes over a connected Unix socket. */
  adopt(fd: number): void {
    const uid = native.peerUid(fd);
    const peer = native.peerName(fd);
    if (!this.#users.has(uid) || this.#channels.size >= MAX_CONNECTIONS) {
      this.#log('warn', `${peer}: refused: not a user who may attach (--allow-user), or too many`);
      native.close(fd);
      if (this.#channels.size === 0) this.#idle();
      return;
    }
    // One after the other: answers go out in the order of the requests.
    let last = Promise.resolve();
    const channel = new MessageChannel(fd, {
      message: (message, descriptors) => {
        const answer = last.then(() => this.#serve(peer, message, descriptors));
        last = answer.then((each) => channel.send(each));
      },
      closed: (error) => {
        if (error) this.#log('warn', `${peer}: ${error.message}`);
        this.#channels.delete(channel);
        if (this.#channels.size === 0) this.#idle();
      },
    });
    this.#channels.add(channel);
  }

  close(): void {
    for (const channel of this.#channels) channel.close();
  }

  async #serve(
    peer: string,
    message: unknown,
    descriptors: readonly number[],
  ): Promise<HelperAnswer> {
    try {
      const request = parseHelperRequest(message);
      await this.#do(request, descriptors);
      this.#log('info', `${peer}: ${describe(request)}`);
      return { ok: true };
    } catch (error) {
      const code = error instanceof OverlaybdError ? error.code : 'IO';
      this.#log('error', `${peer}: ${messageOf(error)}`);
      return { ok: false, code, message: messageOf(error) };
    } finally {
      for (const fd of descriptors) native.close(fd);
    }
  }

  #do(request: HelperRequest, descriptors: readonly number[]): Promise<void> {
    switch (request.do) {
      case 'connect':
        return this.#driver.connect(request.request, descriptors);
      case 'reconfigure':
        return this.#driver.reconfigure(request.index, request.owner, descriptors);
      case 'disconnectOnClose':
        return this.#driver.disconnectOnClose(request.index, request.owner);
      case 'disconnect':
        return this.#driver.disconnect(request.index, request.owner);
    }
  }
}

function describe(request: HelperRequest): string {
  const { index } = request.do === 'connect' ? request.request : request;
  const { backend } = request.do === 'connect' ? request.request : request.owner;
  return `${request.do} /dev/nbd${index} (${backend})`;
}
