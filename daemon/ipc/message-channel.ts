// Messages with descriptors over a connected Unix socket, between a daemon and its attach helper or its
// successor. A message is its length as u32 (little-endian), the number of its descriptors as u32, and JSON.
// Does not know the meaning of a message.

import { OverlaybdError, messageOf } from '../errors.js';
import { EAGAIN, errnoText } from '../lib/errno.js';
import { MAX_DESCRIPTORS, descriptors } from '../native/descriptors.js';
import { POLL_READABLE, POLL_WRITABLE, Poll } from '../native/poll.js';
import { sockets } from '../native/socket.js';

/** Bytes of JSON. A connection with a full receive buffer takes 24 KiB, a list of settings far less. */
export const MAX_MESSAGE_LENGTH = 1024 * 1024;
const HEADER_SIZE = 8;
const RECEIVE_SIZE = 64 * 1024;
const NONE = new Int32Array(0);

export interface ChannelHandlers {
  /** The handler closes the descriptors. If it throws, the channel ends. */
  message(message: unknown, descriptors: readonly number[]): void;
  /** Called once at the end. `error` is null if the peer closed the channel between two messages. */
  closed(error: Error | null): void;
}

interface Outgoing {
  readonly bytes: Buffer;
  sent: number;
  /** Sent with the first byte; empty after that. */
  descriptors: Int32Array;
  readonly gone: () => void;
}

export class MessageChannel {
  readonly #fd: number;
  readonly #poll: Poll;
  readonly #handlers: ChannelHandlers;
  readonly #outgoing: Outgoing[] = [];
  readonly #descriptors: number[] = [];
  readonly #scratch = Buffer.allocUnsafeSlow(RECEIVE_SIZE);
  readonly #received: Buffer[] = [];
  #receivedLength = 0;
  #closed = false;

  /** Takes over a connected, nonblocking Unix socket. */
  constructor(fd: number, handlers: ChannelHandlers) {
    this.#fd = fd;
    this.#handlers = handlers;
    this.#poll = new Poll(fd, (events) => this.#onEvents(events));
    this.#poll.start(POLL_READABLE);
  }

  /**
   * Sends a message. The caller closes the descriptors.
   * @param gone called once when they are no longer needed: they were sent, or cannot be
   */
  send(message: unknown, passed: readonly number[] = [], gone: () => void = () => undefined): void {
    const bytes = messageBytes(message, passed.length);
    if (this.#closed) {
      gone();
      return;
    }
    this.#outgoing.push({ bytes, sent: 0, descriptors: Int32Array.from(passed), gone });
    this.#flush();
  }

  /** Closes the channel. Messages that were sent arrive. Idempotent. */
  close(error: Error | null = null): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#poll.close();
    descriptors.close(this.#fd);
    for (const { sent, gone } of this.#outgoing) if (sent === 0) gone();
    for (const fd of this.#descriptors) descriptors.close(fd);
    this.#handlers.closed(error);
  }

  #onEvents(events: number): void {
    if ((events & POLL_WRITABLE) !== 0) this.#flush();
    if ((events & POLL_READABLE) !== 0 && !this.#closed) this.#receive();
  }

  #flush(): void {
    for (;;) {
      const next = this.#outgoing[0];
      if (!next) break;
      const { bytes, sent, descriptors: passed } = next;
      const n =
        passed.length > 0
          ? descriptors.send(this.#fd, bytes, sent, bytes.length - sent, passed)
          : sockets.send(this.#fd, bytes, sent, bytes.length - sent);
      if (n === -EAGAIN) {
        this.#poll.start(POLL_READABLE | POLL_WRITABLE);
        return;
      }
      if (n < 0) {
        this.close(
          new OverlaybdError('SOCKET', `message channel: sending failed: ${errnoText(-n)}`),
        );
        return;
      }
      next.sent += n;
      if (next.sent === bytes.length) this.#outgoing.shift();
      if (sent === 0) {
        next.descriptors = NONE;
        next.gone();
      }
    }
    this.#poll.start(POLL_READABLE);
  }

  #receive(): void {
    const received = new Int32Array(MAX_DESCRIPTORS);
    const n = descriptors.recv(this.#fd, this.#scratch, 0, RECEIVE_SIZE, received);
    if (n === -EAGAIN) return;
    if (n < 0) {
      this.close(
        new OverlaybdError('SOCKET', `message channel: receiving failed: ${errnoText(-n)}`),
      );
      return;
    }
    if (n === 0) {
      const whole = this.#receivedLength === 0;
      this.close(whole ? null : broken('it ended within a message'));
      return;
    }
    this.#descriptors.push(...received.filter((fd) => fd >= 0));
    this.#received.push(Buffer.from(this.#scratch.subarray(0, n)));
    this.#receivedLength += n;
    try {
      this.#deliver();
    } catch (error) {
      this.close(error instanceof Error ? error : broken(String(error)));
    }
  }

  #deliver(): void {
    while (this.#receivedLength >= HEADER_SIZE && !this.#closed) {
      const bytes = this.#received.length === 1 ? this.#received[0] : undefined;
      const all = bytes ?? Buffer.concat(this.#received);
      this.#received.splice(0, this.#received.length, all);
      const length = all.readUInt32LE(0);
      const count = all.readUInt32LE(4);
      if (length > MAX_MESSAGE_LENGTH) throw broken(`a message of ${length} bytes`);
      if (count > MAX_DESCRIPTORS) throw broken(`a message with ${count} descriptors`);
      const end = HEADER_SIZE + length;
      if (all.length < end) break;
      if (this.#descriptors.length < count) throw broken('descriptors are missing');
      const message = parse(all.toString('utf8', HEADER_SIZE, end));
      this.#received.splice(0, 1, all.subarray(end));
      this.#receivedLength -= end;
      this.#handlers.message(message, this.#descriptors.splice(0, count));
    }
    if (this.#receivedLength === 0) this.#received.length = 0;
    // Descriptors come with the first byte of their message, so there are never more than one message has.
    const most = this.#receivedLength === 0 ? 0 : MAX_DESCRIPTORS;
    if (this.#descriptors.length > most) throw broken('descriptors without a message');
  }
}

/** A message as it is on the channel. @param passed how many descriptors go with it */
export function messageBytes(message: unknown, passed = 0): Buffer {
  const json = Buffer.from(JSON.stringify(message));
  if (json.length > MAX_MESSAGE_LENGTH || passed > MAX_DESCRIPTORS) {
    throw new RangeError('a message that its receiver would refuse');
  }
  const bytes = Buffer.allocUnsafe(HEADER_SIZE + json.length);
  bytes.writeUInt32LE(json.length, 0);
  bytes.writeUInt32LE(passed, 4);
  json.copy(bytes, HEADER_SIZE);
  return bytes;
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (error) {
    throw broken(`not JSON: ${messageOf(error)}`);
  }
}

function broken(what: string): OverlaybdError {
  return new OverlaybdError('PROTOCOL', `message channel: ${what}`);
}
