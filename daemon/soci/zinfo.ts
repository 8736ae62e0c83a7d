// The checkpoints of a gzip layer ("zinfo"): the places in it from which it can be inflated. Two versions, which only
// the length tells apart: in version 1 the first checkpoint is not there. Pure.

import { formatError, type OverlaybdError } from '../errors.js';
import { TWO_32, viewOf } from '../lib/bytes.js';

/** Count and span size. */
const HEAD_SIZE = 12;
const WINDOW_SIZE = 32_768;
/** Offset in the layer, offset in the archive, bits, window. */
const CHECKPOINT_SIZE = 17 + WINDOW_SIZE;
/** Where version 1 has its first checkpoint: after a gzip header without fields. */
const FIRST_BEGIN = 10;

export interface Checkpoint {
  /** Byte offset in the layer of the first whole byte. */
  readonly stored: number;
  /** Byte offset in the archive. */
  readonly plain: number;
  /** High bits of the byte in front of it that belong to it, too. */
  readonly bits: number;
  /** The last bytes in front of it; fewer are filled up with zeros in front. None if it needs none. */
  readonly window: Uint8Array;
}

export interface Zinfo {
  readonly version: 1 | 2;
  readonly count: number;
  /** @param i less than `count` @throws OverlaybdError BAD_FORMAT */
  at(i: number): Checkpoint;
}

/**
 * @param name of the ztoc, for messages
 * @throws OverlaybdError BAD_FORMAT
 */
export function parseZinfo(bytes: Buffer, name: string): Zinfo {
  const bad = (offset: number, expected: string, got: string | number | bigint): OverlaybdError =>
    formatError({ blob: name, section: 'ztoc: checkpoints', offset, expected, got });
  if (bytes.length < HEAD_SIZE) throw bad(0, `at least ${HEAD_SIZE} bytes`, bytes.length);
  const view = viewOf(bytes);
  const count = view.getInt32(0, true);
  const stored = (bytes.length - HEAD_SIZE) / CHECKPOINT_SIZE;
  if (count < 1 || (stored !== count && stored !== count - 1)) {
    const expected = `the number of checkpoints that ${bytes.length} bytes have`;
    throw bad(0, expected, count);
  }
  const absent = count - stored;
  const offsetAt = (at: number): number => {
    const value = view.getInt32(at + 4, true) * TWO_32 + view.getUint32(at, true);
    if (value >= 0 && Number.isSafeInteger(value)) return value;
    throw bad(at, 'an offset below 2^53', view.getBigInt64(at, true));
  };
  return {
    version: absent === 1 ? 1 : 2,
    count,
    at: (i) => {
      if (i < absent) return { stored: FIRST_BEGIN, plain: 0, bits: 0, window: new Uint8Array(0) };
      const at = HEAD_SIZE + (i - absent) * CHECKPOINT_SIZE;
      const bits = bytes[at + 16] as number;
      if (bits > 7) throw bad(at + 16, `bits of checkpoint ${i}: at most 7`, bits);
      return {
        stored: offsetAt(at),
        plain: offsetAt(at + 8),
        bits,
        window: bytes.subarray(at + 17, at + CHECKPOINT_SIZE),
      };
    },
  };
}
