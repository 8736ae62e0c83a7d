// Runs a Transmission as a connection does, with a client in memory that takes as much as a test lets it.
import { setImmediate as turn } from 'node:timers/promises';
import { NBD_CMD } from '../../../daemon/nbd/constants.js';
import { LargeMemory, type LargeMemoryUser } from '../../../daemon/nbd/large-memory.js';
import { MAX_UNSENT_BYTES } from '../../../daemon/nbd/limits.js';
import { ChunkPool, Outbox } from '../../../daemon/nbd/outbox.js';
import type { ReadRequest } from '../../../daemon/nbd/request.js';
import { Transmission, type TransmissionHost } from '../../../daemon/nbd/transmission.js';
import { requestBytes, type RawRequest } from '../../support/nbd-client.js';
import type { FakeExport } from './fake-export.js';

const EAGAIN = 11;
/** As in reactor/connection.ts. */
const RECEIVE_SIZE = 17 * 1024;

export interface Answer {
  cookie: bigint;
  error: number;
  /** What came with it: as many bytes as were asked for, when there was no error. */
  data: Buffer;
}

export class Harness implements TransmissionHost, LargeMemoryUser {
  readonly outbox: Outbox;
  readonly largeMemory: LargeMemory;
  readonly transmission: Transmission;
  readonly failures: { error: unknown; request: ReadRequest }[] = [];
  /** Bytes that the client still takes. */
  room = Infinity;
  /** Most bytes that one send takes. */
  shortest: () => number = () => Infinity;
  errno = 0;
  sends = 0;
  evicted = false;
  stalled: number | null = null;
  woken = false;
  /** Whether requests wait in the harness, where a socket would have them. */
  #input: Buffer = Buffer.alloc(0);
  #held: Buffer = Buffer.alloc(0);
  readonly #taken: Buffer[] = [];
  readonly #lengths = new Map<bigint, number>();
  readonly #export: FakeExport;

  constructor(served: FakeExport, largeMemory = new LargeMemory()) {
    this.#export = served;
    this.largeMemory = largeMemory;
    this.outbox = new Outbox(new ChunkPool(), (bytes, offset, length) => {
      this.sends++;
      if (this.errno !== 0) return -this.errno;
      const n = Math.min(length, this.room, this.shortest());
      if (n === 0) return -EAGAIN;
      this.room -= n;
      this.#taken.push(Buffer.from(bytes.subarray(offset, offset + n)));
      return n;
    });
    this.transmission = new Transmission(served, this);
  }

  wake(): void {
    this.woken = true;
  }

  readFailed(error: unknown, request: ReadRequest): void {
    this.failures.push({ error, request });
  }

  stalledSince(): number | null {
    return this.stalled;
  }

  evict(): void {
    this.evicted = true;
    this.close();
  }

  close(): void {
    this.transmission.close();
    this.outbox.close();
  }

  /** Puts a request, and its payload, where the next pump finds it. */
  ask(request: RawRequest, payload: Buffer = Buffer.alloc(0)): void {
    const { type = NBD_CMD.READ, cookie = 0n, length = 0 } = request;
    if (type === NBD_CMD.READ) this.#lengths.set(cookie, length);
    this.feed(Buffer.concat([requestBytes(request), payload]));
  }

  feed(bytes: Buffer): void {
    this.#input = Buffer.concat([this.#input, bytes]);
  }

  /** Bytes not yet received, and those received and not yet parsed. */
  get unread(): number {
    return this.#input.length;
  }

  get unparsed(): number {
    return this.#held.length;
  }

  /** One turn of the connection, with at most `most` new bytes. */
  pump(most = Infinity): void {
    const { transmission, outbox } = this;
    if (transmission.state === 'hungry' && outbox.unsent < MAX_UNSENT_BYTES) {
      const n = Math.min(most, RECEIVE_SIZE - this.#held.length, this.#input.length);
      this.#held = Buffer.concat([this.#held, this.#input.subarray(0, n)]);
      this.#input = this.#input.subarray(n);
    }
    const { buffer, byteOffset, length } = this.#held;
    const used = transmission.pump(new DataView(buffer, byteOffset, length), 0, length);
    if (used < 0 || used > length) throw new RangeError(`used ${used} of ${length}`);
    this.#held = this.#held.subarray(used);
    if (transmission.state === 'busy') this.wake();
  }

  /** Whether a connection in this state would hear of anything: its socket, or a wake. */
  get #hasEvent(): boolean {
    const { state } = this.transmission;
    if (state === 'done' || this.outbox.failed !== 0 || this.evicted) return false;
    if (this.woken || (this.outbox.blocked && this.room > 0)) return true;
    return state === 'hungry' && this.outbox.unsent < MAX_UNSENT_BYTES && this.#input.length > 0;
  }

  /** Goes on as the connection would, until nothing happens any more. */
  async settle(most: () => number = () => Infinity): Promise<void> {
    for (let quiet = 0; quiet < 6;) {
      const before = this.#export.reads.length;
      if (this.#hasEvent) {
        this.woken = false;
        this.pump(most());
        quiet = 0;
        continue;
      }
      await turn();
      quiet = this.#export.reads.length === before ? quiet + 1 : 0;
    }
  }

  /** The answers that have come whole; throws when the stream is anything else. */
  answers(): Answer[] {
    const stream = Buffer.concat(this.#taken);
    const all: Answer[] = [];
    for (let at = 0; at < stream.length;) {
      if (stream.readUInt32BE(at) !== 0x67446698) throw new Error(`no reply magic at ${at}`);
      const error = stream.readUInt32BE(at + 4);
      const cookie = stream.readBigUInt64BE(at + 8);
      const length = error === 0 ? (this.#lengths.get(cookie) ?? 0) : 0;
      if (at + 16 + length > stream.length) throw new Error(`the reply at ${at} is cut short`);
      all.push({ cookie, error, data: stream.subarray(at + 16, at + 16 + length) });
      at += 16 + length;
    }
    return all;
  }

  get takenBytes(): number {
    return this.#taken.reduce((sum, { length }) => sum + length, 0);
  }
}
