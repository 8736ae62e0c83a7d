// The transmission phase of one connection: requests in, replies out. Parses in order of arrival,
// answers at once what is at hand, and parks the rest. Knows neither sockets nor images.

import {
  NBD_CMD,
  NBD_CMD_FLAG_FUA,
  NBD_EINVAL,
  NBD_EIO,
  NBD_EPERM,
  NBD_REQUEST_MAGIC,
  NBD_SIMPLE_REPLY_MAGIC,
  REQUEST_SIZE,
  SIMPLE_REPLY_SIZE,
} from './constants.js';
import { ProtocolError } from './errors.js';
import type { ExportCursor, NbdExport } from './export.js';
import { LargeReads } from './large-reads.js';
import type { LargeMemory } from './large-memory.js';
import {
  MAX_BYTES_PER_TURN,
  MAX_INLINE_LENGTH,
  MAX_IN_FLIGHT,
  MAX_REQUEST_LENGTH,
  MAX_UNSENT_BYTES,
} from './limits.js';
import type { Outbox } from './outbox.js';
import type { ReadRequest } from './request.js';

const TWO_32 = 0x1_0000_0000;

/** What the transmission phase needs from whoever owns the connection. */
export interface TransmissionHost {
  readonly outbox: Outbox;
  readonly largeMemory: LargeMemory;
  /** Something became ready outside of `pump`: call it soon. */
  wake(): void;
  /** A read failed; the client gets EIO. */
  readFailed(error: unknown, request: ReadRequest): void;
  stalledSince(): number | null;
  evict(): void;
}

/** Why {@link Transmission.pump} returned. */
export type PumpState =
  | 'hungry' // wants more bytes from the client
  | 'busy' // has more to do, but others get their turn first
  | 'waiting' // for the client to take replies, or for parked requests
  | 'done'; // the client said goodbye and has all its replies

export class Transmission {
  readonly #export: NbdExport;
  readonly #cursor: ExportCursor;
  readonly #host: TransmissionHost;
  readonly #large: LargeReads;
  /** Parked requests whose bytes are at hand now. */
  readonly #ready: ReadRequest[] = [];
  #parked = 0;
  /** Payload of a refused command, still to be thrown away. */
  #skip = 0;
  #ending = false;
  #closed = false;

  /** For the log line at the end. */
  requests = 0;
  errors = 0;

  constructor(served: NbdExport, host: TransmissionHost) {
    this.#export = served;
    this.#cursor = served.newCursor();
    this.#host = host;
    this.#large = new LargeReads(served, host, {
      reply: (chunk, request) => {
        writeReplyHeader(chunk.view, 0, 0, request.cookieHigh, request.cookieLow);
        this.#host.outbox.push(chunk);
      },
      fail: (error, request) => this.#fail(error, request),
    });
  }

  /** No further request is taken; what has been taken is still answered. */
  end(): void {
    this.#ending = true;
  }

  /** Whether the client said goodbye, or we did. */
  get ending(): boolean {
    return this.#ending;
  }

  /** The client is gone: parked work is dropped when it comes back. */
  close(): void {
    this.#closed = true;
    this.#large.close();
  }

  /**
   * Takes requests from view[start, end) and answers them.
   * @returns where it stopped, with `state` saying why
   * @throws ProtocolError when the connection must end
   */
  pump(view: DataView, start: number, end: number): number {
    const { outbox } = this.#host;
    const turnEnd = outbox.totalSent + outbox.unsent + MAX_BYTES_PER_TURN;
    let at = start;
    let full = false;
    this.state = 'waiting';
    for (;;) {
      if (outbox.unsent >= MAX_UNSENT_BYTES) {
        outbox.flush();
        full = outbox.blocked || outbox.failed !== 0;
        if (full) break;
      }
      if (outbox.totalSent + outbox.unsent >= turnEnd) {
        this.state = 'busy';
        break;
      }
      const ready = this.#ready.shift();
      if (ready) {
        this.#parked--;
        this.#readParked(ready);
        continue;
      }
      if (this.#skip > 0) {
        const n = Math.min(this.#skip, end - at);
        this.#skip -= n;
        at += n;
      }
      if (this.#ending) {
        at = end; // what comes behind the goodbye is nobody's
        break;
      }
      if (this.inFlight >= MAX_IN_FLIGHT) break;
      if (end - at < REQUEST_SIZE) {
        this.state = 'hungry';
        break;
      }
      this.#request(view, at);
      at += REQUEST_SIZE;
    }
    // Not when it has just been full: were there room by now, nobody would hear of it again.
    if (!full) outbox.flush();
    this.#large.resume();
    if (this.#ending && this.inFlight === 0 && outbox.unsent === 0) this.state = 'done';
    return at;
  }

  /** Set by {@link pump}. */
  state: PumpState = 'hungry';

  /** Requests taken and not answered. */
  get inFlight(): number {
    return this.#parked + this.#large.count;
  }

  #request(view: DataView, at: number): void {
    const magic = view.getUint32(at);
    if (magic !== NBD_REQUEST_MAGIC) {
      throw new ProtocolError(`request magic 0x${magic.toString(16)}`);
    }
    this.requests++;
    const flags = view.getUint16(at + 4);
    const type = view.getUint16(at + 6);
    const cookieHigh = view.getUint32(at + 8);
    const cookieLow = view.getUint32(at + 12);
    const offset = view.getUint32(at + 16) * TWO_32 + view.getUint32(at + 20);
    const length = view.getUint32(at + 24);

    if (type === NBD_CMD.READ) {
      // FUA means nothing for a read and is allowed with every command.
      const legal =
        (flags & ~NBD_CMD_FLAG_FUA) === 0 &&
        length <= MAX_REQUEST_LENGTH &&
        offset + length <= this.#export.size;
      if (!legal) this.#replyHeader(NBD_EINVAL, cookieHigh, cookieLow);
      else if (length === 0) this.#replyHeader(0, cookieHigh, cookieLow);
      else if (length <= MAX_INLINE_LENGTH) {
        this.#readNow(offset, length, cookieHigh, cookieLow);
      } else {
        this.#large.add({ offset, length, cookieHigh, cookieLow });
      }
      return;
    }
    if (type === NBD_CMD.DISC) {
      this.#ending = true;
      return;
    }
    // Refused, and the one command with a payload has it consumed.
    if (type === NBD_CMD.WRITE) this.#skip = length;
    const writes = type === NBD_CMD.WRITE || type === NBD_CMD.TRIM || type === NBD_CMD.WRITE_ZEROES;
    this.#replyHeader(writes ? NBD_EPERM : NBD_EINVAL, cookieHigh, cookieLow);
  }

  /** The hot path: no object is made for a read that can be answered at once. */
  #readNow(offset: number, length: number, cookieHigh: number, cookieLow: number): void {
    const { outbox } = this.#host;
    let wait: Promise<void> | null;
    try {
      wait = this.#export.ensure(offset, length);
      if (!wait) {
        const chunk = outbox.reserve(SIMPLE_REPLY_SIZE + length);
        const at = chunk.end + SIMPLE_REPLY_SIZE;
        if (this.#export.read(chunk.bytes, at, length, offset, false, this.#cursor)) {
          writeReplyHeader(chunk.view, chunk.end, 0, cookieHigh, cookieLow);
          outbox.commit(chunk, SIMPLE_REPLY_SIZE + length);
          return;
        }
        wait = this.#export.load(offset, length);
      }
    } catch (error) {
      this.#fail(error, { offset, length, cookieHigh, cookieLow });
      return;
    }
    this.#park({ offset, length, cookieHigh, cookieLow }, wait);
  }

  #park(request: ReadRequest, wait: Promise<void>): void {
    this.#parked++;
    const arrived = (): void => {
      if (this.#closed) return;
      this.#ready.push(request);
      this.#host.wake();
    };
    const lost = (error: unknown): void => {
      if (this.#closed) return;
      this.#parked--;
      this.#fail(error ?? new Error('failed without a reason'), request);
      this.#host.wake();
    };
    wait.then(arrived, lost);
  }

  /** A parked request, its bytes at hand. */
  #readParked(request: ReadRequest): void {
    const { outbox } = this.#host;
    const { offset, length, cookieHigh, cookieLow } = request;
    const chunk = outbox.reserve(SIMPLE_REPLY_SIZE + length);
    const at = chunk.end + SIMPLE_REPLY_SIZE;
    try {
      if (!this.#export.read(chunk.bytes, at, length, offset, true, this.#cursor)) {
        throw new Error('a read that may block was put off');
      }
    } catch (error) {
      this.#fail(error, request);
      return;
    }
    writeReplyHeader(chunk.view, chunk.end, 0, cookieHigh, cookieLow);
    outbox.commit(chunk, SIMPLE_REPLY_SIZE + length);
  }

  #fail(error: unknown, request: ReadRequest): void {
    this.errors++;
    this.#host.readFailed(error, request);
    this.#replyHeader(NBD_EIO, request.cookieHigh, request.cookieLow);
  }

  #replyHeader(error: number, cookieHigh: number, cookieLow: number): void {
    const { outbox } = this.#host;
    const chunk = outbox.reserve(SIMPLE_REPLY_SIZE);
    writeReplyHeader(chunk.view, chunk.end, error, cookieHigh, cookieLow);
    outbox.commit(chunk, SIMPLE_REPLY_SIZE);
  }
}

function writeReplyHeader(
  view: DataView,
  at: number,
  error: number,
  cookieHigh: number,
  cookieLow: number,
): void {
  view.setUint32(at, NBD_SIMPLE_REPLY_MAGIC);
  view.setUint32(at + 4, error);
  view.setUint32(at + 8, cookieHigh);
  view.setUint32(at + 12, cookieLow);
}
