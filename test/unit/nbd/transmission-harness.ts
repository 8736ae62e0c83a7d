// Runs a Transmission as a connection does, with a client in memory that takes as many bytes as the test allows.
import { setImmediate as turn } from 'node:timers/promises';
import { NBD_CMD } from '../../../daemon/nbd/constants.js';
import type { NbdExport } from '../../../daemon/nbd/export.js';
import { LargeMemory } from '../../../daemon/nbd/large-memory.js';
import { MAX_UNSENT_BYTES } from '../../../daemon/nbd/limits.js';
import { SendBufferPool, Outbox } from '../../../daemon/nbd/outbox.js';
import type { ReadRequest, Request } from '../../../daemon/nbd/request.js';
import type { ReadHost } from '../../../daemon/nbd/read-job.js';
import { META_CONTEXTS, type MetaContext } from '../../../daemon/nbd/meta-context.js';
import type { ReplyForm, Session } from '../../../daemon/nbd/session.js';
import { Transmission } from '../../../daemon/nbd/transmission.js';
import type { FakeExport } from './fake-export.js';
import { ReplyChecker, emptyAnswer, type Answer } from './reply-checker.js';
import { parseChunks, requestInForm, type AskedRequest, type ReplyChunk } from './reply-chunks.js';

export type { Answer } from './reply-checker.js';
export type ChunkedForm = Exclude<ReplyForm, 'simple'>;
export const CHUNKED_FORMS: readonly ChunkedForm[] = ['structured', 'extended'];

const EAGAIN = 11;
/** As in reactor/connection.ts. */
const RECEIVE_SIZE = 17 * 1024;

export class Harness implements ReadHost {
  readonly outbox: Outbox;
  readonly largeMemory: LargeMemory;
  readonly transmission: Transmission;
  readonly refusals: { type: number; errno: number; reason: string }[] = [];
  readonly failures: { error: unknown; request: ReadRequest }[] = [];
  /** Bytes that the client will still take. */
  room = Infinity;
  /** Most bytes that one send takes. */
  shortest: () => number = () => Infinity;
  errno = 0;
  sends = 0;
  evicted = false;
  stalled: number | null = null;
  woken = false;
  /** Whether requests stay in the harness until they are read, as in a socket. */
  #input: Buffer = Buffer.alloc(0);
  #held: Buffer = Buffer.alloc(0);
  #taken: Buffer[] = [];
  readonly #asked = new Map<bigint, AskedRequest>();
  readonly #export: FakeExport;
  readonly #session: Session;

  /** A session whose client negotiated this reply form and selected the contexts, by default all. */
  static chunked(
    form: ChunkedForm,
    served: FakeExport,
    contexts: readonly MetaContext[] = META_CONTEXTS,
  ): Harness {
    return new Harness(served, new LargeMemory(), { form, contexts });
  }

  /** @param served `fake` itself, or an export that wraps it */
  constructor(
    fake: FakeExport,
    largeMemory = new LargeMemory(),
    session: Session = { form: 'simple', contexts: [] },
    served: NbdExport = fake,
  ) {
    this.#export = fake;
    this.#session = session;
    this.largeMemory = largeMemory;
    this.outbox = new Outbox(new SendBufferPool(), (bytes, offset, length) => {
      this.sends++;
      if (this.errno !== 0) return -this.errno;
      const n = Math.min(length, this.room, this.shortest());
      if (n === 0) return -EAGAIN;
      this.room -= n;
      this.#taken.push(Buffer.from(bytes.subarray(offset, offset + n)));
      return n;
    });
    this.transmission = new Transmission(served, session, this);
  }

  wake(): void {
    this.woken = true;
  }

  arrived(): void {
    this.woken = true;
  }

  readFailed(error: unknown, request: ReadRequest): void {
    // It may be the object that the next request is parsed into.
    this.failures.push({ error, request: { ...request } });
  }

  requestRefused(request: Request, errno: number, reason: string): void {
    this.refusals.push({ type: request.type, errno, reason });
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

  /** Queues a request and its payload for the next pump. */
  ask(request: AskedRequest, payload: Buffer = Buffer.alloc(0)): void {
    this.expect(request);
    this.feed(Buffer.concat([requestInForm(this.#session.form, request), payload]));
  }

  /** Has answers to a request checked that `feed` brings. */
  expect(request: AskedRequest): void {
    this.#asked.set(request.cookie ?? 0n, request);
  }

  feed(bytes: Buffer): void {
    this.#input = Buffer.concat([this.#input, bytes]);
  }

  /** Bytes not yet received, and bytes received and not yet parsed. */
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

  /** Whether a connection in this state would get another event: from its socket, or a wake. */
  get #hasEvent(): boolean {
    const { state } = this.transmission;
    if (state === 'done' || this.outbox.failed !== 0 || this.evicted) return false;
    if (this.woken || (this.outbox.blocked && this.room > 0)) return true;
    return state === 'hungry' && this.outbox.unsent < MAX_UNSENT_BYTES && this.#input.length > 0;
  }

  /** Continues as the connection would until nothing happens any more. */
  async settle(most: () => number = () => Infinity): Promise<void> {
    for (let quiet = 0; quiet < 6;) {
      const before = this.#export.calls;
      if (this.#hasEvent) {
        this.woken = false;
        this.pump(most());
        quiet = 0;
        continue;
      }
      await turn();
      quiet = this.#export.calls === before ? quiet + 1 : 0;
    }
  }

  /** The complete answers; throws if the stream has anything else. */
  answers(): Answer[] {
    return this.#session.form === 'simple' ? this.#simpleAnswers() : this.#checked(true).answers;
  }

  /** The parts of incomplete answers. */
  openAnswers(): Map<bigint, Answer> {
    return this.#checked(false).open;
  }

  /** Complete chunks. */
  chunks(): ReplyChunk[] {
    const { form } = this.#session;
    if (form === 'simple') throw new Error('simple replies have no chunks');
    return parseChunks(form, this.taken).chunks;
  }

  /** All bytes that the client has taken. */
  get taken(): Buffer {
    const [first, ...others] = this.#taken;
    if (first && others.length === 0) return first;
    const all = Buffer.concat(this.#taken);
    this.#taken = [all];
    return all;
  }

  get takenBytes(): number {
    return this.#taken.reduce((sum, { length }) => sum + length, 0);
  }

  #checked(mustBeWhole: boolean): ReplyChecker {
    const { form } = this.#session;
    if (form === 'simple') throw new Error('simple replies have no chunks');
    const { chunks, rest } = parseChunks(form, this.taken);
    if (mustBeWhole && rest > 0) throw new Error(`${rest} bytes of a chunk that is cut short`);
    const checker = new ReplyChecker(this.#session, this.#export);
    for (const chunk of chunks) checker.take(chunk, this.#asked.get(chunk.cookie));
    return checker;
  }

  #simpleAnswers(): Answer[] {
    const stream = this.taken;
    const all: Answer[] = [];
    for (let at = 0; at < stream.length;) {
      if (stream.readUInt32BE(at) !== 0x67446698) throw new Error(`no reply magic at ${at}`);
      const error = stream.readUInt32BE(at + 4);
      const cookie = stream.readBigUInt64BE(at + 8);
      const { type = NBD_CMD.READ, length = 0 } = this.#asked.get(cookie) ?? {};
      const size = error === 0 && type === NBD_CMD.READ ? Number(length) : 0;
      if (at + 16 + size > stream.length) throw new Error(`the reply at ${at} is cut short`);
      const data = stream.subarray(at + 16, at + 16 + size);
      all.push({ ...emptyAnswer(cookie), error, data });
      at += 16 + size;
    }
    return all;
  }
}
