// Parses requests. Each connection reuses one object; a request that cannot be answered at once is copied.

import { TWO_32 } from '../lib/bytes.js';
import {
  EXTENDED_REQUEST_SIZE,
  NBD_EXTENDED_REQUEST_MAGIC,
  NBD_REQUEST_MAGIC,
  REQUEST_SIZE,
} from './constants.js';
import { ProtocolError } from './errors.js';

/** The fields of a request that its reply repeats. */
export interface ReplyTarget {
  /** The cookie's 8 opaque bytes as two numbers. */
  readonly cookieHigh: number;
  readonly cookieLow: number;
  /** The offset of the request, for extended replies. */
  readonly offsetHigh: number;
  readonly offsetLow: number;
}

/** A read that is kept until it can be answered. */
export interface ReadRequest extends ReplyTarget {
  /** Bytes. */
  readonly offset: number;
  readonly length: number;
}

/** A command that is refused after its payload has arrived. */
export interface RefusedRequest extends ReplyTarget {
  readonly errno: number;
  /** For people; only structured forms carry it. */
  readonly message: string;
}

export class Request implements ReadRequest {
  flags = 0;
  type = 0;
  cookieHigh = 0;
  cookieLow = 0;
  offsetHigh = 0;
  offsetLow = 0;
  offset = 0;
  /** Rounded above 2^53, which is far past the end of every export. */
  length = 0;

  /**
   * Fills the object from the header at `at`.
   * @param extended whether lengths have 64 bits
   * @throws ProtocolError if the magic is wrong
   */
  parse(view: DataView, at: number, extended: boolean): void {
    if (!isRequest(view, at, extended)) {
      throw new ProtocolError(`request magic 0x${view.getUint32(at).toString(16)}`);
    }
    this.flags = view.getUint16(at + 4);
    this.type = view.getUint16(at + 6);
    this.cookieHigh = view.getUint32(at + 8);
    this.cookieLow = view.getUint32(at + 12);
    this.offsetHigh = view.getUint32(at + 16);
    this.offsetLow = view.getUint32(at + 20);
    this.offset = this.offsetHigh * TWO_32 + this.offsetLow;
    this.length = extended
      ? view.getUint32(at + 24) * TWO_32 + view.getUint32(at + 28)
      : view.getUint32(at + 24);
  }

  /** Writes the header that {@link parse} reads. */
  write(view: DataView, at: number, extended: boolean): void {
    view.setUint32(at, extended ? NBD_EXTENDED_REQUEST_MAGIC : NBD_REQUEST_MAGIC);
    view.setUint16(at + 4, this.flags);
    view.setUint16(at + 6, this.type);
    view.setUint32(at + 8, this.cookieHigh);
    view.setUint32(at + 12, this.cookieLow);
    view.setUint32(at + 16, this.offsetHigh);
    view.setUint32(at + 20, this.offsetLow);
    if (extended) view.setUint32(at + 24, Math.floor(this.length / TWO_32));
    view.setUint32(at + (extended ? 28 : 24), this.length % TWO_32);
  }

  /** A copy that outlives the next request. */
  copy(): Request {
    const copy = new Request();
    copy.flags = this.flags;
    copy.type = this.type;
    copy.cookieHigh = this.cookieHigh;
    copy.cookieLow = this.cookieLow;
    copy.offsetHigh = this.offsetHigh;
    copy.offsetLow = this.offsetLow;
    copy.offset = this.offset;
    copy.length = this.length;
    return copy;
  }
}

/** Whether a header begins as one of a request does. */
export function isRequest(view: DataView, at: number, extended: boolean): boolean {
  return view.getUint32(at) === (extended ? NBD_EXTENDED_REQUEST_MAGIC : NBD_REQUEST_MAGIC);
}

/** Bytes of a request's header. */
export function requestSize(extended: boolean): number {
  return extended ? EXTENDED_REQUEST_SIZE : REQUEST_SIZE;
}
