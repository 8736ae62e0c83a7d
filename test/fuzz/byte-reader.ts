// Reads bytes from a stream of which only the beginning may have arrived; and the judge's errors.

/** An invariant is violated. */
export class Violation extends Error {
  override readonly name = 'Violation';
}

/** The stream continues, but the bytes have not arrived yet. */
export class Short extends Error {}

export class ByteReader {
  readonly bytes: Buffer;
  at = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  get left(): number {
    return this.bytes.length - this.at;
  }

  /** @throws Short */
  take(length: number): Buffer {
    if (this.left < length) throw new Short();
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  u16(): number {
    return this.take(2).readUInt16BE(0);
  }

  u32(): number {
    return this.take(4).readUInt32BE(0);
  }

  u64(): bigint {
    return this.take(8).readBigUInt64BE(0);
  }

  nothingMore(where: string): void {
    if (this.left === 0) return;
    const rest = this.bytes.toString('hex', this.at, this.at + 40);
    throw new Violation(`${this.left} unexpected bytes, ${where}: ${rest}`);
  }
}

/** @throws Violation unless it holds */
export function must(holds: boolean, what: string | (() => string)): void {
  if (!holds) throw new Violation(typeof what === 'string' ? what : what());
}

/** @throws Violation unless the bytes are text that the protocol allows */
export function mustBeText(bytes: Buffer): void {
  must(bytes.length <= 4096, `a string of ${bytes.length} bytes`);
  must(!bytes.includes(0) && Buffer.from(bytes.toString('utf8')).equals(bytes), 'no UTF-8');
}
