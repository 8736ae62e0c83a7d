// Writes the replies of one connection in the negotiated form. Knows the wire format, not reads.

import { writeU64 } from '../lib/bytes.js';
import {
  EXTENDED_REPLY_SIZE,
  NBD_EXTENDED_REPLY_MAGIC,
  NBD_REPLY_FLAG_DONE,
  NBD_REPLY_TYPE,
  NBD_SIMPLE_REPLY_MAGIC,
  NBD_STRUCTURED_REPLY_MAGIC,
  SIMPLE_REPLY_SIZE,
  STRUCTURED_REPLY_SIZE,
} from './constants.js';
import { LaterAnswers } from './later-answers.js';
import type { SendBuffer, Outbox } from './outbox.js';
import type { ReplyTarget } from './request.js';
import type { ReplyForm } from './session.js';

/** Bytes before the data, or before the length of a hole, in the payload of a content chunk. */
const OFFSET_SIZE = 8;

export class ReplyWriter {
  readonly form: ReplyForm;
  /** Answers that become ready outside of a pump. */
  readonly later = new LaterAnswers();
  /** Bytes before the data of a read, within one send buffer. */
  readonly dataOverhead: number;
  readonly #outbox: Outbox;
  /** Bytes of the header of a reply chunk, or of a simple reply. */
  readonly #headerSize: number;

  constructor(outbox: Outbox, form: ReplyForm) {
    this.#outbox = outbox;
    this.form = form;
    this.#headerSize =
      form === 'simple'
        ? SIMPLE_REPLY_SIZE
        : form === 'structured'
          ? STRUCTURED_REPLY_SIZE
          : EXTENDED_REPLY_SIZE;
    this.dataOverhead = this.#headerSize + (form === 'simple' ? 0 : OFFSET_SIZE);
  }

  /**
   * Puts the header of data in front of it: the data begins `dataOverhead` bytes after `buffer.end`.
   * The caller commits both together.
   * @param offset where the data is in the export; part of what was asked for, unless simple
   */
  dataHeader(
    buffer: SendBuffer,
    to: ReplyTarget,
    offset: number,
    length: number,
    last: boolean,
  ): void {
    const { view } = buffer;
    if (this.form === 'simple') {
      writeSimpleHeader(view, buffer.end, to, 0);
      return;
    }
    this.#header(view, buffer.end, to, NBD_REPLY_TYPE.OFFSET_DATA, OFFSET_SIZE + length, last);
    writeU64(view, buffer.end + this.#headerSize, offset);
  }

  /** A hole instead of data. Not for simple replies. */
  hole(to: ReplyTarget, offset: number, length: number, last: boolean): void {
    const size = this.#headerSize + OFFSET_SIZE + 4;
    const buffer = this.#outbox.reserve(size);
    const { view, end } = buffer;
    this.#header(view, end, to, NBD_REPLY_TYPE.OFFSET_HOLE, OFFSET_SIZE + 4, last);
    writeU64(view, end + this.#headerSize, offset);
    view.setUint32(end + this.#headerSize + OFFSET_SIZE, length);
    this.#outbox.commit(buffer, size);
  }

  /** Success without data. */
  done(to: ReplyTarget): void {
    this.#empty(to, 0);
  }

  /**
   * Failure.
   * @param message for people; only structured forms carry it
   * @param offset where in the export it failed, if that is known
   */
  error(to: ReplyTarget, errno: number, message: string, offset?: number): void {
    if (this.form === 'simple') {
      this.#empty(to, errno);
      return;
    }
    const text = Buffer.from(message);
    const payload = 6 + text.length + (offset === undefined ? 0 : OFFSET_SIZE);
    const type = offset === undefined ? NBD_REPLY_TYPE.ERROR : NBD_REPLY_TYPE.ERROR_OFFSET;
    const size = this.#headerSize + payload;
    const buffer = this.#outbox.reserve(size);
    const { view, bytes, end } = buffer;
    this.#header(view, end, to, type, payload, true);
    let at = end + this.#headerSize;
    view.setUint32(at, errno);
    view.setUint16(at + 4, text.length);
    at += 6;
    text.copy(bytes, at);
    if (offset !== undefined) writeU64(view, at + text.length, offset);
    this.#outbox.commit(buffer, size);
  }

  /**
   * The extents of one metadata context: pairs of length and flags.
   * @param count number of pairs
   */
  blockStatus(
    to: ReplyTarget,
    context: number,
    lengths: Float64Array,
    flags: Uint32Array,
    count: number,
    last: boolean,
  ): void {
    const extended = this.form === 'extended';
    const payload = extended ? 8 + 16 * count : 4 + 8 * count;
    const type = extended ? NBD_REPLY_TYPE.BLOCK_STATUS_EXT : NBD_REPLY_TYPE.BLOCK_STATUS;
    const size = this.#headerSize + payload;
    const buffer = this.#outbox.reserve(size);
    const { view, end } = buffer;
    this.#header(view, end, to, type, payload, last);
    let at = end + this.#headerSize;
    view.setUint32(at, context);
    at += 4;
    if (extended) {
      view.setUint32(at, count);
      at += 4;
    }
    for (let i = 0; i < count; i++) {
      const length = lengths[i] as number;
      const status = flags[i] as number;
      if (extended) {
        writeU64(view, at, length);
        writeU64(view, at + 8, status);
        at += 16;
      } else {
        view.setUint32(at, length);
        view.setUint32(at + 4, status);
        at += 8;
      }
    }
    this.#outbox.commit(buffer, size);
  }

  #empty(to: ReplyTarget, errno: number): void {
    const buffer = this.#outbox.reserve(this.#headerSize);
    const { view, end } = buffer;
    if (this.form === 'simple') writeSimpleHeader(view, end, to, errno);
    else this.#header(view, end, to, NBD_REPLY_TYPE.NONE, 0, true);
    this.#outbox.commit(buffer, this.#headerSize);
  }

  #header(
    view: DataView,
    at: number,
    to: ReplyTarget,
    type: number,
    payload: number,
    last: boolean,
  ): void {
    const extended = this.form === 'extended';
    view.setUint32(at, extended ? NBD_EXTENDED_REPLY_MAGIC : NBD_STRUCTURED_REPLY_MAGIC);
    view.setUint16(at + 4, last ? NBD_REPLY_FLAG_DONE : 0);
    view.setUint16(at + 6, type);
    view.setUint32(at + 8, to.cookieHigh);
    view.setUint32(at + 12, to.cookieLow);
    if (!extended) {
      view.setUint32(at + 16, payload);
      return;
    }
    view.setUint32(at + 16, to.offsetHigh);
    view.setUint32(at + 20, to.offsetLow);
    writeU64(view, at + 24, payload);
  }
}

/** The header of a simple reply; simple-shape.ts also puts it in front of long replies. */
export function writeSimpleHeader(
  view: DataView,
  at: number,
  to: ReplyTarget,
  errno: number,
): void {
  view.setUint32(at, NBD_SIMPLE_REPLY_MAGIC);
  view.setUint32(at + 4, errno);
  view.setUint32(at + 8, to.cookieHigh);
  view.setUint32(at + 12, to.cookieLow);
}
