// The requests of a transmission: checks each, and passes it to the class that answers it. Discards the payload of
// commands that are not served. transmission.ts decides when the next one is taken.

import type { Disk } from '../lib/disk.js';
import { BlockStatus } from './block-status.js';
import { CacheRequests } from './cache-requests.js';
import { ChunkedShape } from './chunked-shape.js';
import { NBD_CMD, NBD_CMD_FLAG, NBD_EINVAL, NBD_EOVERFLOW, NBD_EPERM } from './constants.js';
import { ProtocolError } from './errors.js';
import type { NbdExport } from './export.js';
import {
  MAX_ANNOUNCED_LENGTH,
  MAX_ANNOUNCED_READS,
  MAX_INLINE_LENGTH,
  MAX_REQUEST_LENGTH,
  MIN_ANNOUNCED_READS,
} from './limits.js';
import { flagNames, nameOf, requestText } from './names.js';
import type { ReadHost } from './read-job.js';
import { Reads } from './reads.js';
import { ReplyWriter } from './reply-writer.js';
import { Request, isRequest, requestSize, type RefusedRequest } from './request.js';
import type { Session } from './session.js';
import { SimpleShape } from './simple-shape.js';

/** The payload of a refused command that has not arrived completely. */
export interface UnfinishedPayload {
  /** Bytes that have not arrived yet. */
  readonly skip: number;
  /** The command, which is answered after its payload; null or missing: it has been answered. */
  readonly refused?: RefusedRequest | null;
}

/** No payload is unfinished. */
const WHOLE: UnfinishedPayload = { skip: 0 };

const NO_ROUND = -1;

const READ_ONLY = 'the export is read-only';

export class Commands {
  readonly #disk: Disk;
  readonly #session: Session;
  readonly #host: ReadHost;
  readonly #replies: ReplyWriter;
  readonly #reads: Reads;
  readonly #caches: CacheRequests;
  #blockStatus: BlockStatus | null = null;
  readonly #request = new Request();
  readonly #extended: boolean;
  /** Bytes of the payload of a refused command that are still to be discarded. */
  #skip: number;
  /** The refused command, which is answered after its payload: clients do not read before they have sent it. */
  #refused: RefusedRequest | null;

  /** The round in which the reads were announced last; NO_ROUND: they were not announced. */
  #round = NO_ROUND;

  /** Bytes of a request. */
  readonly requestSize: number;

  /** Requests taken, for the log line at the end. */
  count = 0;

  /** Whether the client sent NBD_CMD_DISC. */
  isDisconnected = false;

  /** @param rest the rest of a payload that the predecessor has not received */
  constructor(
    served: NbdExport,
    session: Session,
    host: ReadHost,
    { skip, refused = null }: UnfinishedPayload = WHOLE,
  ) {
    this.#disk = served.disk;
    this.#skip = skip;
    this.#refused = refused;
    this.#session = session;
    this.#host = host;
    this.#extended = session.form === 'extended';
    this.requestSize = requestSize(this.#extended);
    this.#replies = new ReplyWriter(host.outbox, session.form);
    const Shape = session.form === 'simple' ? SimpleShape : ChunkedShape;
    const shape = new Shape(served.disk, host, this.#replies);
    this.#reads = new Reads(served.disk, shape, host, this.#replies, served.waits);
    this.#caches = new CacheRequests(served, host, this.#replies);
  }

  get unfinished(): UnfinishedPayload {
    return { skip: this.#skip, refused: this.#refused };
  }

  /** Reads that were answered with an error. */
  get errors(): number {
    return this.#reads.errors;
  }

  /** Requests without an answer so far. */
  get inFlight(): number {
    return this.#reads.count + this.#caches.count + (this.#blockStatus?.count ?? 0);
  }

  /** Whether all requests without an answer are reads that wait for a network. */
  get areParked(): boolean {
    return this.#skip === 0 && this.inFlight === this.#reads.count && this.#reads.areParked;
  }

  /** Gives up the reads that wait for a network. @returns their requests, as the client sent them */
  recall(): Uint8Array {
    const requests = this.#reads.recall();
    this.count -= requests.length;
    const size = this.requestSize;
    const bytes = new Uint8Array(requests.length * size);
    const view = new DataView(bytes.buffer);
    requests.forEach((each, i) => each.write(view, i * size, this.#extended));
    return bytes;
  }

  /** Answers the reads that wait for a network with an error. @param error made for each */
  failParked(error: () => Error): void {
    this.#reads.failParked(error);
  }

  /** Goes on with a request that was put off. @returns false if there is none */
  resume(): boolean {
    return this.#replies.later.make() || this.#reads.resume();
  }

  /** The client may have taken replies. */
  flushed(): void {
    this.#reads.flushed();
  }

  /** Call this when the client is gone. Work that was put off is dropped when it is ready. */
  close(): void {
    this.#reads.close();
    this.#caches.close();
    this.#blockStatus?.close();
  }

  /**
   * Discards payload, and answers the command that had it.
   * @param length bytes that have arrived
   * @returns how many of them were payload
   */
  skip(length: number): number {
    const n = Math.min(this.#skip, length);
    this.#skip -= n;
    if (this.#refused && this.#skip === 0) this.#answerRefused(this.#refused);
    return n;
  }

  /** Whether the reads that were announced last, and have not been taken, still are announced. */
  get areAnnounced(): boolean {
    return this.#disk.together?.round === this.#round;
  }

  /**
   * Announces short reads among the requests in view[at, end).
   * @returns where the next ones are to be announced; never before the second request
   */
  announce(view: DataView, at: number, end: number): number {
    const disk = this.#disk;
    const size = this.requestSize;
    this.#round = NO_ROUND;
    if (!disk.together || end - at < MIN_ANNOUNCED_READS * size || !disk.together.begin()) {
      return end;
    }
    this.#round = disk.together.round;
    const request = this.#request;
    const most = Math.min(end - size, at + (MAX_ANNOUNCED_READS - 1) * size);
    let here = at;
    for (; here <= most; here += size) {
      if (!isRequest(view, here, this.#extended)) break;
      request.parse(view, here, this.#extended);
      const { type, flags, offset, length } = request;
      if (type !== NBD_CMD.READ || (flags & NBD_CMD_FLAG.PAYLOAD_LEN) !== 0) break;
      if (length > MAX_ANNOUNCED_LENGTH || offset + length > disk.size) break;
      disk.announce?.(offset, length);
    }
    disk.together.end();
    return Math.max(here, at + size);
  }

  /** Takes the request at `at`, which has arrived. @throws ProtocolError if the connection must end */
  take(view: DataView, at: number): void {
    const request = this.#request;
    request.parse(view, at, this.#extended);
    // The payload of any command is consumed. Without extended headers only writes have one. With extended
    // headers writes have one even without the flag: libnbd sends such writes if it is not strict.
    const hasPayload =
      request.type === NBD_CMD.WRITE ||
      (this.#extended && (request.flags & NBD_CMD_FLAG.PAYLOAD_LEN) !== 0);
    if (hasPayload && request.length > 0 && request.type !== NBD_CMD.DISC) {
      this.#takePayload(request);
      return;
    }
    this.count++;
    switch (request.type) {
      case NBD_CMD.READ:
        return this.#read(request);
      case NBD_CMD.DISC:
        this.isDisconnected = true;
        return;
      case NBD_CMD.CACHE:
        return this.#cache(request);
      case NBD_CMD.BLOCK_STATUS:
        return this.#status(request);
      case NBD_CMD.FLUSH:
        // Nothing is ever written, so there is nothing to flush.
        if (this.#accept(request, 0)) this.#replies.done(request);
        return;
      case NBD_CMD.WRITE:
      case NBD_CMD.TRIM:
      case NBD_CMD.WRITE_ZEROES:
        return this.#refuse(request, READ_ONLY, NBD_EPERM);
      default:
        return this.#refuse(request, 'the command is not supported');
    }
  }

  /** Skips the payload, then refuses the command: no command with a payload is served. */
  #takePayload(request: Request): void {
    if (this.#extended && request.length > MAX_REQUEST_LENGTH) {
      const name = nameOf('NBD_CMD', request.type);
      const length = `${request.length} bytes, at most ${MAX_REQUEST_LENGTH}`;
      throw new ProtocolError(`${name} with a payload of ${length}`);
    }
    const { type, cookieHigh, cookieLow, offsetHigh, offsetLow } = request;
    const isWrite =
      type === NBD_CMD.WRITE || type === NBD_CMD.TRIM || type === NBD_CMD.WRITE_ZEROES;
    const errno = isWrite ? NBD_EPERM : NBD_EINVAL;
    const reason = isWrite ? READ_ONLY : 'the command has no payload here';
    const message = `${requestText(request)}: ${reason}`;
    this.#skip = request.length;
    this.#refused = { cookieHigh, cookieLow, offsetHigh, offsetLow, errno, message };
    this.#host.requestRefused(request, errno, reason);
  }

  #answerRefused(refused: RefusedRequest): void {
    this.#refused = null;
    this.count++;
    this.#replies.error(refused, refused.errno, refused.message);
  }

  #read(request: Request): void {
    const mayHave = this.#session.form === 'simple' ? 0 : NBD_CMD_FLAG.DF;
    if (!this.#accept(request, mayHave)) return;
    if (request.length > MAX_REQUEST_LENGTH) {
      this.#refuse(request, `a read has at most ${MAX_REQUEST_LENGTH} bytes`);
    } else if ((request.flags & NBD_CMD_FLAG.DF) !== 0 && request.length > MAX_INLINE_LENGTH) {
      const limit = `at most ${MAX_INLINE_LENGTH} bytes can be read without fragments`;
      this.#refuse(request, limit, NBD_EOVERFLOW);
    } else if (request.length === 0) {
      this.#replies.done(request);
    } else {
      this.#reads.start(request);
    }
  }

  #cache(request: Request): void {
    if (!this.#accept(request, 0)) return;
    if (request.length === 0) this.#replies.done(request);
    else this.#caches.start(request.copy());
  }

  #status(request: Request): void {
    if (this.#session.contexts.length === 0) {
      this.#refuse(request, 'no metadata context was selected in the handshake');
    } else if (this.#accept(request, NBD_CMD_FLAG.REQ_ONE)) {
      if (request.length === 0) {
        this.#refuse(request, 'an empty range has no block status');
        return;
      }
      const { contexts } = this.#session;
      this.#blockStatus ??= new BlockStatus(this.#disk, contexts, this.#host, this.#replies);
      this.#blockStatus.start(request);
    }
  }

  /** Checks flags and range. @returns false if the request was refused, and so answered */
  #accept(request: Request, mayHave: number): boolean {
    // Ignore FUA, which existing clients set on any command.
    const unknown = request.flags & ~(mayHave | NBD_CMD_FLAG.FUA);
    if (unknown !== 0) {
      this.#refuse(request, `${flagNames(unknown)} is not supported here`);
    } else if (request.offset + request.length > this.#disk.size) {
      this.#refuse(request, `the range ends past the export's ${this.#disk.size} bytes`);
    } else {
      return true;
    }
    return false;
  }

  #refuse(request: Request, reason: string, errno: number = NBD_EINVAL): void {
    this.#host.requestRefused(request, errno, reason);
    this.#replies.error(request, errno, `${requestText(request)}: ${reason}`);
  }
}
