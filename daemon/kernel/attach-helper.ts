// The attach helper: performs the few operations that need CAP_SYS_ADMIN, for daemons without privileges.
// Opens no image. Touches only free devices and devices of the user whose daemon asks.

import { OverlaybdError, codeOf, fullStory, messageOf } from '../errors.js';
import { devicePath } from './device-path.js';
import { MessageChannel } from '../ipc/message-channel.js';
import { descriptors } from '../native/descriptors.js';
import { sockets } from '../native/socket.js';
import { ConnectedDevices } from './connected-devices.js';
import type { NbdDriver } from './driver.js';
import {
  MAX_WAITING_REQUESTS,
  parseHelperRequest,
  type HelperAnswer,
  type HelperRequest,
} from './helper-protocol.js';
import type { Sysfs } from './sysfs.js';
import { postedError } from '../lib/posted-error.js';

/** Daemons of a machine: each has one connection. */
const MAX_CONNECTIONS = 64;
/** Connections of one user, who must leave room for the daemons of others. */
export const MAX_CONNECTIONS_PER_USER = 16;

export type HelperLog = (level: 'info' | 'warn' | 'error', message: string) => void;

export interface AttachHelperParts {
  readonly driver: NbdDriver;
  readonly sysfs: Sysfs;
  /** Users whose daemons may ask, besides root. */
  readonly users: readonly number[];
  readonly log: HelperLog;
  /** Called whenever the last connection has ended. */
  readonly idle: () => void;
}

/** The daemon that asks. */
interface Peer {
  readonly name: string;
  readonly uid: number;
}

export class AttachHelper {
  readonly #driver: NbdDriver;
  readonly #devices: ConnectedDevices;
  readonly #users: ReadonlySet<number>;
  readonly #log: HelperLog;
  readonly #idle: () => void;
  /** The channels, with their users. */
  readonly #channels = new Map<MessageChannel, number>();

  constructor({ driver, sysfs, users, log, idle }: AttachHelperParts) {
    this.#driver = driver;
    this.#devices = new ConnectedDevices(sysfs);
    this.#users = new Set([0, ...users]);
    this.#log = log;
    this.#idle = idle;
  }

  get connections(): number {
    return this.#channels.size;
  }

  /** Whether there are devices that no daemon could use any more if this process ended. */
  get isNeeded(): boolean {
    return this.#devices.areOnlyKnownHere;
  }

  /** Takes over a connected Unix socket. */
  adopt(fd: number): void {
    const address = sockets.peerAddress(fd);
    const isUser = address?.kind === 'unix';
    const uid = isUser ? address.uid : -1;
    const peer = isUser ? `pid ${address.pid} uid ${uid}` : 'a client without a user';
    const why = this.#whyNot(uid);
    if (why !== null) {
      this.#log('warn', `${peer}: refused: ${why}`);
      descriptors.close(fd);
      if (this.#channels.size === 0) this.#idle();
      return;
    }
    // One request at a time, so that the answers have the order of the requests.
    let last = Promise.resolve();
    let waiting = 0;
    const channel = new MessageChannel(fd, {
      message: (message, passed) => {
        if (++waiting > MAX_WAITING_REQUESTS) {
          for (const each of passed) descriptors.close(each);
          throw new OverlaybdError(
            'PROTOCOL',
            `attach helper: more than ${MAX_WAITING_REQUESTS} requests whose answers it has not read`,
          );
        }
        const answer = last.then(() => this.#serve({ name: peer, uid }, message, passed));
        last = answer.then((each) => channel.send(each, [], () => waiting--));
      },
      closed: (error) => {
        if (error) this.#log('warn', `${peer}: ${error.message}`);
        this.#channels.delete(channel);
        if (this.#channels.size === 0) this.#idle();
      },
    });
    this.#channels.set(channel, uid);
  }

  close(): void {
    for (const channel of this.#channels.keys()) channel.close();
  }

  /** @returns why the user may not have another connection, or null */
  #whyNot(uid: number): string | null {
    if (!this.#users.has(uid)) return 'not a user who may attach (--allow-user)';
    const same = [...this.#channels.values()].filter((each) => each === uid).length;
    if (same >= MAX_CONNECTIONS_PER_USER) return `user ${uid} has ${same} connections`;
    const all = this.#channels.size;
    return all < MAX_CONNECTIONS ? null : `there are ${all} connections`;
  }

  async #serve(peer: Peer, message: unknown, passed: readonly number[]): Promise<HelperAnswer> {
    try {
      const request = parseHelperRequest(message);
      await this.#do(peer.uid, request, passed);
      this.#log('info', `${peer.name}: ${describe(request)}`);
      return { ok: true };
    } catch (error) {
      const code = codeOf(error);
      // A device in use is not an error here: the daemon repeats the request for a while.
      if (code !== 'BUSY') this.#log('error', `${peer.name}: ${fullStory(error)}`);
      return { ok: false, ...postedError(error), message: messageOf(error) };
    } finally {
      for (const fd of passed) descriptors.close(fd);
    }
  }

  async #do(uid: number, request: HelperRequest, passed: readonly number[]): Promise<void> {
    if (request.do === 'connect') {
      const { index, backend } = request.request;
      this.#devices.checkName(index, backend, uid);
      await this.#driver.connect(request.request, passed);
      this.#devices.add(index, backend, uid);
      return;
    }
    const { index } = request;
    const owner = this.#devices.owner(index, request.owner.backend, uid);
    switch (request.do) {
      case 'reconfigure':
        return this.#driver.reconfigure(index, owner, passed);
      case 'disconnectOnClose':
        return this.#driver.disconnectOnClose(index, owner);
      case 'release':
        return this.#driver.release(index, owner, request.onClose);
      case 'disconnect':
        return this.#driver.disconnect(index, owner);
    }
  }
}

function describe(request: HelperRequest): string {
  const { index } = request.do === 'connect' ? request.request : request;
  const { backend } = request.do === 'connect' ? request.request : request.owner;
  return `${request.do} ${devicePath(index)} (${backend})`;
}
