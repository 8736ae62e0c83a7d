// The wire format of structured and extended messages: builds requests and splits replies. It judges nothing.
import { NBD_CMD } from '../../../daemon/nbd/constants.js';
import type { ReplyForm } from '../../../daemon/nbd/session.js';
import { requestBytes, type RawRequest } from '../../support/nbd-client.js';

export interface AskedRequest extends Omit<RawRequest, 'length'> {
  /** Above 2^32 only with extended headers. */
  length?: number | bigint;
}

/** Bytes of a request's header in the form that was agreed on. */
export function requestInForm(form: ReplyForm, request: AskedRequest): Buffer {
  const { type = NBD_CMD.READ, flags = 0, cookie = 0n, offset = 0, length = 0 } = request;
  if (form !== 'extended') return requestBytes({ ...request, length: Number(length) });
  const out = Buffer.alloc(32);
  out.writeUInt32BE(request.magic ?? 0x21e41c71, 0);
  out.writeUInt16BE(flags, 4);
  out.writeUInt16BE(type, 6);
  out.writeBigUInt64BE(cookie, 8);
  out.writeBigUInt64BE(BigInt(offset), 16);
  out.writeBigUInt64BE(BigInt(length), 24);
  return out;
}

export interface ReplyChunk {
  flags: number;
  type: number;
  cookie: bigint;
  /** The request's offset, which only extended replies repeat. */
  echo: bigint | null;
  payload: Buffer;
}

/**
 * Splits a stream into its complete chunks. @returns the chunks, and how many bytes of an incomplete one follow.
 * @throws on anything that is not a chunk of the form
 */
export function parseChunks(
  form: 'structured' | 'extended',
  stream: Buffer,
): { chunks: ReplyChunk[]; rest: number } {
  const isExtended = form === 'extended';
  const headSize = isExtended ? 32 : 20;
  const chunks: ReplyChunk[] = [];
  let at = 0;
  while (at + headSize <= stream.length) {
    const magic = stream.readUInt32BE(at);
    if (magic !== (isExtended ? 0x6e8a278c : 0x668e33ef)) {
      throw new Error(`magic 0x${magic.toString(16)} at ${at} is none of ${form} replies`);
    }
    const length = isExtended
      ? Number(stream.readBigUInt64BE(at + 24))
      : stream.readUInt32BE(at + 16);
    const end = at + headSize + length;
    if (end > stream.length) break;
    chunks.push({
      flags: stream.readUInt16BE(at + 4),
      type: stream.readUInt16BE(at + 6),
      cookie: stream.readBigUInt64BE(at + 8),
      echo: isExtended ? stream.readBigUInt64BE(at + 16) : null,
      payload: stream.subarray(at + headSize, end),
    });
    at = end;
  }
  return { chunks, rest: stream.length - at };
}
