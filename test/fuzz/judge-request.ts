// One request as the judge sees it: takes the reply piece by piece. See judge.ts.
import {
  NBD_CMD,
  NBD_CMD_FLAG,
  NBD_EINVAL,
  NBD_EIO,
  NBD_EOVERFLOW,
  NBD_EPERM,
} from '../../daemon/nbd/constants.js';
import { must, mustBeText } from './byte-reader.js';
import { commandName } from './encode.js';
import type { Agreed } from './judge-handshake.js';
import { statusOf } from './model-export.js';

const MAX_READ = 32n * 1024n * 1024n;
const MAX_UNFRAGMENTED = 256n * 1024n;
/** The most extents in one block status reply. */
const FULL_LIST = 4096;
/** EPERM, EIO, ENOMEM, EINVAL, ENOSPC, EOVERFLOW, ENOTSUP, ESHUTDOWN. */
const ERRORS = [1, 5, 12, 22, 28, 75, 95, 108];

export interface AskedFor {
  readonly type: number;
  readonly flags: number;
  readonly cookie: bigint;
  readonly offset: bigint;
  readonly length: bigint;
}

/** The expected error of the request; 0 is success. */
function errorFor({ type, flags, offset, length }: AskedFor, agreed: Agreed): number {
  const { served, form, contexts } = agreed;
  const { FUA, DF, REQ_ONE } = NBD_CMD_FLAG;
  const { READ, CACHE, FLUSH, BLOCK_STATUS, WRITE, TRIM, WRITE_ZEROES } = NBD_CMD;
  if (type === WRITE || type === TRIM || type === WRITE_ZEROES) return NBD_EPERM;
  if (![READ, CACHE, FLUSH, BLOCK_STATUS].includes(type as never)) return NBD_EINVAL;
  let may: number = FUA;
  if (type === READ && form !== 'simple') may |= DF;
  if (type === BLOCK_STATUS) may |= REQ_ONE;
  if ((flags & ~may) !== 0 || offset + length > BigInt(served.size)) return NBD_EINVAL;
  if (type === FLUSH) return 0;
  if (type === BLOCK_STATUS) return contexts.size === 0 || length === 0n ? NBD_EINVAL : 0;
  if (type === READ) {
    if (length > MAX_READ) return NBD_EINVAL;
    if ((flags & DF) !== 0 && length > MAX_UNFRAGMENTED) return NBD_EOVERFLOW;
  }
  return served.fails(Number(offset), Number(length)) ? NBD_EIO : 0;
}

export class OpenRequest {
  readonly asked: AskedFor;
  /** Another request has the same cookie: replies cannot be assigned to one of them. */
  crowded = false;
  readonly #agreed: Agreed;
  readonly #pieces: { from: bigint; to: bigint }[] = [];
  readonly #contexts = new Set<number>();
  #errno = 0;

  constructor(asked: AskedFor, agreed: Agreed) {
    this.asked = asked;
    this.#agreed = agreed;
  }

  isLike({ asked }: OpenRequest): boolean {
    const { type, flags, offset, length } = this.asked;
    const same = type === asked.type && flags === asked.flags;
    return same && offset === asked.offset && length === asked.length;
  }

  data(offset: bigint, bytes: Buffer): void {
    this.#piece(offset, BigInt(bytes.length));
    const expected = Buffer.allocUnsafe(bytes.length);
    this.#agreed.served.fill(Number(offset), bytes.length, expected, 0);
    if (bytes.equals(expected)) return;
    const wrong = bytes.findIndex((byte, i) => byte !== expected[i]);
    must(false, () => this.#tell(`wrong byte ${wrong} of ${bytes.length} at ${offset}`));
  }

  hole(offset: bigint, length: number): void {
    must(length > 0, 'a hole of nothing');
    this.#piece(offset, BigInt(length));
    const { served } = this.#agreed;
    must(served.isHole(Number(offset), length), () => this.#tell(`no hole ${offset}+${length}`));
  }

  #piece(from: bigint, length: bigint): void {
    const { type, flags, offset, length: asked } = this.asked;
    const to = from + length;
    must(type === NBD_CMD.READ, () => this.#tell('content'));
    must(from >= offset && to <= offset + asked, () => this.#tell(`piece ${from}+${length}`));
    must(
      this.#pieces.every((other) => to <= other.from || from >= other.to),
      () => this.#tell(`overlap at ${from}+${length}`),
    );
    this.#pieces.push({ from, to });
    const isWhole = (flags & NBD_CMD_FLAG.DF) === 0 || this.#pieces.length === 1;
    must(isWhole, () => this.#tell('fragments'));
    must(this.#errno === 0, () => this.#tell('content after an error'));
  }

  error(errno: number): void {
    must(ERRORS.includes(errno), () => this.#tell(`error ${errno}`));
    must(this.#errno === 0, () => this.#tell('two errors'));
    this.#errno = errno;
  }

  errorChunk(payload: Buffer, hasOffset: boolean): void {
    const size = hasOffset ? 14 : 6;
    must(payload.length >= size, `error chunk of ${payload.length} bytes`);
    const text = payload.readUInt16BE(4);
    must(text === payload.length - size, `a message of ${text} bytes in ${payload.length}`);
    mustBeText(payload.subarray(6, 6 + text));
    this.error(payload.readUInt32BE(0));
    if (!hasOffset) return;
    const at = payload.readBigUInt64BE(6 + text);
    const { offset, length } = this.asked;
    must(at >= offset && at < offset + length, () => this.#tell(`error at ${at}`));
    const known = this.#pieces.some(({ from, to }) => at >= from && at < to);
    must(!known, () => this.#tell(`error at ${at}, which was there already`));
  }

  status(payload: Buffer, extended: boolean): void {
    const head = extended ? 8 : 4;
    const size = extended ? 16 : 8;
    const count = (payload.length - head) / size;
    must(count >= 1 && Number.isInteger(count), `block status of ${payload.length} bytes`);
    if (extended) must(payload.readUInt32BE(4) === count, 'count of extents');
    const id = payload.readUInt32BE(0);
    const context = this.#agreed.contexts.get(id);
    must(this.asked.type === NBD_CMD.BLOCK_STATUS, () => this.#tell('block status'));
    must(context !== undefined && !this.#contexts.has(id), () => this.#tell(`context ${id}`));
    this.#contexts.add(id);
    must((this.asked.flags & NBD_CMD_FLAG.REQ_ONE) === 0 || count === 1, () =>
      this.#tell('extents'),
    );
    let at = Number(this.asked.offset);
    const end = at + Number(this.asked.length);
    let before = -1;
    for (let i = 0; i < count; i++) {
      const from = head + i * size;
      const length = extended ? payload.readBigUInt64BE(from) : payload.readUInt32BE(from);
      const status = extended ? payload.readBigUInt64BE(from + 8) : payload.readUInt32BE(from + 4);
      must(Number(status) !== before, () => this.#tell('extents that are not joined'));
      before = Number(status);
      at = this.#extent(context as string, at, Number(length), before);
    }
    must(at <= end, () => this.#tell('extents past the range'));
    if (at < end) this.#mayEndAt(context as string, at, before);
  }

  /** Only where the list became full, or at the end of the one extent that was requested. */
  #mayEndAt(context: string, at: number, status: number): void {
    const { served } = this.#agreed;
    const oneIsWhole =
      (this.asked.flags & NBD_CMD_FLAG.REQ_ONE) !== 0 &&
      statusOf(context, served.extentAt(at).segment) !== status;
    let passed = 0;
    for (let from = Number(this.asked.offset); from < at; passed++) {
      from = served.extentAt(from).end;
    }
    must(oneIsWhole || passed >= FULL_LIST, () => this.#tell(`extents end at ${at}`));
  }

  /** @returns the end of the extent */
  #extent(context: string, from: number, length: number, status: number): number {
    const { served } = this.#agreed;
    must(length > 0 && from + length <= served.size, () => this.#tell(`extent ${from}+${length}`));
    for (let at = from; at < from + length;) {
      const { end, segment } = served.extentAt(at);
      const expected = statusOf(context, segment);
      must(expected === status, () =>
        this.#tell(`${context} at ${at}: ${status}, not ${expected}`),
      );
      at = end;
    }
    return from + length;
  }

  /** The reply is complete. @returns a name for the kind of answer */
  done(): string {
    const { asked } = this;
    const name = commandName(asked.type);
    if (this.crowded) return `${name}: one of several`;
    // The request is advice: missing bytes are noticed when they are waited for, or when they are read.
    const isAdvice = asked.type === NBD_CMD.CACHE && this.#errno === 0;
    const told = errorFor(asked, this.#agreed);
    const expected = isAdvice && told === NBD_EIO ? 0 : told;
    must(this.#errno === expected, () => this.#tell(`error ${this.#errno}, not ${expected}`));
    if (expected !== 0) return `${name}: error ${expected}`;
    if (asked.type === NBD_CMD.READ) {
      const covered = this.#pieces.reduce((sum, { from, to }) => sum + to - from, 0n);
      must(covered === asked.length, () => this.#tell(`${covered} bytes covered`));
    } else if (asked.type === NBD_CMD.BLOCK_STATUS) {
      const { contexts } = this.#agreed;
      must(this.#contexts.size === contexts.size, () => this.#tell('contexts are missing'));
    }
    return `${name}: success`;
  }

  #tell(what: string): string {
    const { type, flags, cookie, offset, length } = this.asked;
    const command = `${this.#agreed.form} ${commandName(type)} flags ${flags}`;
    return `${command} ${offset}+${length} cookie ${cookie.toString(16)}: ${what}`;
  }
}
