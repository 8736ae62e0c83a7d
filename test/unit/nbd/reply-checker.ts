// Assembles the chunks of structured and extended replies as a strict client would: throws on everything that the
// protocol forbids, and on holes that are sent as bytes. The tests judge whether the content is right.
import { EXTENT_DATA } from '../../../daemon/lib/extent-list.js';
import { NBD_CMD, NBD_CMD_FLAG, NBD_REPLY_TYPE } from '../../../daemon/nbd/constants.js';
import type { Session } from '../../../daemon/nbd/session.js';
import type { FakeExport } from './fake-export.js';
import type { AskedRequest, ReplyChunk } from './reply-chunks.js';

export interface Piece {
  offset: number;
  length: number;
  isHole: boolean;
}

export interface Answer {
  cookie: bigint;
  error: number;
  /** The read's data: without an error, as many bytes as were requested. */
  data: Buffer;
  /** How a read's data arrived, in order; empty with simple replies. */
  pieces: Piece[];
  message: string;
  /** The offset of the error, if the reply has one. */
  errorOffset: number | null;
  /** By context id: pairs of length and flags. */
  statuses: Map<number, [number, number][]>;
}

export function emptyAnswer(cookie: bigint): Answer {
  return {
    cookie,
    error: 0,
    data: Buffer.alloc(0),
    pieces: [],
    message: '',
    errorOffset: null,
    statuses: new Map(),
  };
}

export class ReplyChecker {
  readonly #session: Session;
  readonly #export: FakeExport;
  /** Complete replies, in the order of their ends. */
  readonly answers: Answer[] = [];
  /** Replies that have begun and not ended. */
  readonly open = new Map<bigint, Answer>();

  constructor(session: Session, served: FakeExport) {
    this.#session = session;
    this.#export = served;
  }

  take(chunk: ReplyChunk, request: AskedRequest | undefined): void {
    const { cookie, type, flags, payload } = chunk;
    if (!request) throw new Error(`cookie ${cookie} was never sent`);
    if (chunk.echo !== null && chunk.echo !== BigInt(request.offset ?? 0)) {
      throw new Error(`offset ${chunk.echo} is not that of the request`);
    }
    if (flags !== 0 && flags !== 1) throw new Error(`flags ${flags}`);
    const isDone = flags === 1;
    const answer = this.open.get(cookie) ?? emptyAnswer(cookie);
    this.open.set(cookie, answer);
    if (type === NBD_REPLY_TYPE.NONE) {
      if (payload.length > 0 || !isDone) throw new Error('NONE with a payload, or not the last');
    } else if (type === NBD_REPLY_TYPE.OFFSET_DATA || type === NBD_REPLY_TYPE.OFFSET_HOLE) {
      this.#content(answer, request, type === NBD_REPLY_TYPE.OFFSET_HOLE, payload);
    } else if (type === NBD_REPLY_TYPE.ERROR || type === NBD_REPLY_TYPE.ERROR_OFFSET) {
      takeError(answer, request, type === NBD_REPLY_TYPE.ERROR_OFFSET, payload);
    } else {
      this.#status(answer, request, type, payload);
    }
    if (!isDone) return;
    this.open.delete(cookie);
    this.answers.push(answer);
    if (answer.error === 0) this.#finish(answer, request);
  }

  #content(answer: Answer, request: AskedRequest, isHole: boolean, payload: Buffer): void {
    if (isHole ? payload.length !== 12 : payload.length < 9) throw new Error('length of content');
    const offset = Number(payload.readBigUInt64BE(0));
    const length = isHole ? payload.readUInt32BE(8) : payload.length - 8;
    const [from, size] = [Number(request.offset ?? 0), Number(request.length ?? 0)];
    const what = `${isHole ? 'hole' : 'data'} ${offset}+${length} for ${from}+${size}`;
    if ((request.type ?? NBD_CMD.READ) !== NBD_CMD.READ) throw new Error(`${what}: not a read`);
    if (length === 0 || offset < from || offset + length > from + size) throw new Error(what);
    const last = answer.pieces.at(-1);
    const isBehind = !last || offset >= last.offset + last.length; // and so after all earlier ones, as this server sends them
    if (!isBehind) throw new Error(`${what}: overlaps, or is out of order`);
    const isWhole = ((request.flags ?? 0) & NBD_CMD_FLAG.DF) !== 0;
    if (isWhole && answer.pieces.length > 0) throw new Error(`${what}: a fragment`);
    this.#checkKinds(offset, length, isHole, isWhole, what);
    answer.pieces.push({ offset, length, isHole });
    // Zeros of a hole are there already: no piece overlaps an earlier one, and a read without an error is covered.
    if (answer.data.length === 0) answer.data = Buffer.alloc(size);
    if (!isHole) payload.copy(answer.data, offset - from, 8);
  }

  /** Holes are not sent as bytes, except in data that may not be fragmented; data is not sent as holes. */
  #checkKinds(offset: number, length: number, isHole: boolean, isWhole: boolean, what: string) {
    const { grain } = this.#export;
    let data = 0;
    for (let at = offset; at < offset + length; at += grain - (at % grain)) {
      const isData = this.#export.kindAt(at) === EXTENT_DATA;
      if (isData) data++;
      if (isHole && isData) throw new Error(`${what}: there is data at ${at}`);
      if (!isHole && !isData && !isWhole) throw new Error(`${what}: a hole as bytes at ${at}`);
    }
    if (!isHole && data === 0) throw new Error(`${what}: nothing but zeros`);
  }

  #status(answer: Answer, request: AskedRequest, type: number, payload: Buffer): void {
    const isExtended = this.#session.form === 'extended';
    const expected = isExtended ? NBD_REPLY_TYPE.BLOCK_STATUS_EXT : NBD_REPLY_TYPE.BLOCK_STATUS;
    if (type !== expected) throw new Error(`chunk type ${type}`);
    if (request.type !== NBD_CMD.BLOCK_STATUS) throw new Error('block status was not asked for');
    const [head, size] = isExtended ? [8, 16] : [4, 8];
    const count = (payload.length - head) / size;
    if (!Number.isInteger(count) || count < 1) throw new Error(`${payload.length} bytes of status`);
    if (isExtended && payload.readUInt32BE(4) !== count) throw new Error('count of extents');
    const extents: [number, number][] = [];
    let total = 0;
    for (let at = head; at < payload.length; at += size) {
      const [length, status] = isExtended
        ? [Number(payload.readBigUInt64BE(at)), Number(payload.readBigUInt64BE(at + 8))]
        : [payload.readUInt32BE(at), payload.readUInt32BE(at + 4)];
      if (length === 0) throw new Error('an extent of nothing');
      if (extents.at(-1)?.[1] === status) throw new Error('neighbours that are alike');
      extents.push([length, status]);
      total += length;
    }
    if (total > Number(request.length)) throw new Error('extents beyond what was asked for');
    if (((request.flags ?? 0) & NBD_CMD_FLAG.REQ_ONE) !== 0 && extents.length !== 1) {
      throw new Error(`${extents.length} extents instead of one`);
    }
    const id = payload.readUInt32BE(0);
    if (answer.statuses.has(id) || id >= this.#session.contexts.length) {
      throw new Error(`context ${id} twice, or never selected`);
    }
    answer.statuses.set(id, extents);
  }

  #finish(answer: Answer, request: AskedRequest): void {
    const { type = NBD_CMD.READ, length = 0 } = request;
    const covered = answer.pieces.reduce((sum, piece) => sum + piece.length, 0);
    if (covered !== (type === NBD_CMD.READ ? Number(length) : 0)) {
      throw new Error(`${covered} of ${length} bytes, and no error`);
    }
    const contexts = type === NBD_CMD.BLOCK_STATUS ? this.#session.contexts.length : 0;
    if (answer.statuses.size !== contexts) throw new Error(`${answer.statuses.size} contexts`);
  }
}

function takeError(answer: Answer, request: AskedRequest, isAt: boolean, payload: Buffer): void {
  if (answer.error !== 0) throw new Error('a second error');
  answer.error = payload.readUInt32BE(0);
  const textEnd = 6 + payload.readUInt16BE(4);
  if (answer.error === 0) throw new Error('an error that is none');
  if (textEnd + (isAt ? 8 : 0) !== payload.length) throw new Error('length of an error');
  answer.message = payload.toString('utf8', 6, textEnd);
  if (!isAt) return;
  const at = Number(payload.readBigUInt64BE(textEnd));
  const [from, size] = [Number(request.offset ?? 0), Number(request.length ?? 0)];
  if (at < from || at >= from + size) throw new Error(`error at ${at} for ${from}+${size}`);
  answer.errorOffset = at;
}
