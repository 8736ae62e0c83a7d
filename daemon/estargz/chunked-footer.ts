// The last bytes of a zstd:chunked blob: a skippable frame that says where the manifest is. There are two forms. Pure.

import { formatError, type OverlaybdError } from '../errors.js';
import { u64le, viewOf } from '../lib/bytes.js';
import { MAX_TOC_BYTES } from './limits.js';

export interface ChunkedFooter {
  /** Byte offset of the compressed manifest, after the header of its skippable frame. */
  readonly offset: number;
  /** Bytes. */
  readonly compressed: number;
  /** Bytes of JSON. */
  readonly uncompressed: number;
}

/** Bytes of the longer one, with the header of its frame. */
export const MAX_CHUNKED_FOOTER_SIZE = 72;
/** The second letter tells them apart. */
const MAGICS: Readonly<Record<string, number>> = { GnUlInUx: 40, GNUlInUx: 64 };
const SKIPPABLE = 0x184d_2a50;
const FRAME_HEADER = 8;
const JSON_MANIFEST = 1;

/**
 * Reads the footer of a blob.
 * @param tail its last MAX_CHUNKED_FOOTER_SIZE bytes, or all
 * @param size bytes of the blob
 * @returns null if it has none
 * @throws OverlaybdError BAD_FORMAT, LIMIT if there is one that is wrong
 */
export function parseChunkedFooter(tail: Buffer, blob: string, size: number): ChunkedFooter | null {
  const bytes = MAGICS[tail.toString('latin1', Math.max(0, tail.length - 8))];
  if (bytes === undefined || tail.length < bytes + FRAME_HEADER) return null;
  const frame = tail.subarray(tail.length - bytes - FRAME_HEADER);
  if (frame.readUInt32LE(0) !== SKIPPABLE || frame.readUInt32LE(4) !== bytes) return null;
  const begin = size - bytes;
  const view = viewOf(frame.subarray(FRAME_HEADER));
  const [offset, compressed, uncompressed, type] = [0, 8, 16, 24].map((at) => u64le(view, at)) as [
    number,
    number,
    number,
    number,
  ];
  const wrong = (at: number, expected: string, got: number): OverlaybdError =>
    formatError({ blob, section: 'footer', offset: begin + at, expected, got });
  for (const [at, value] of [
    [8, compressed],
    [16, uncompressed],
  ] as const) {
    if (value === 0) throw wrong(at, 'a manifest of at least one byte', value);
    if (value <= MAX_TOC_BYTES) continue;
    const expected = `a manifest of at most ${MAX_TOC_BYTES} bytes`;
    throw formatError({
      blob,
      section: 'footer',
      offset: begin + at,
      expected,
      got: value,
      code: 'LIMIT',
    });
  }
  const most = begin - FRAME_HEADER;
  if (offset + compressed > most) {
    throw wrong(0, `a manifest that ends by ${most}`, offset + compressed);
  }
  if (type !== JSON_MANIFEST) throw wrong(24, `type ${JSON_MANIFEST} of the manifest`, type);
  return { offset, compressed, uncompressed };
}
