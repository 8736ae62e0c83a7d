// The table of contents of eStargz and stargz: a gzip member that has a tar with one file.

import { findTarPayload, TAR_HEAD_SIZE } from '../blob/tar.js';
import { OverlaybdError, formatError, messageOf } from '../errors.js';
import { DECODED_BYTES_A_UNIT, type Effort } from '../lib/effort.js';
import { inflateBegin } from '../pieces/gzip-member.js';
import { quoted } from '../lib/printable.js';
import { MAX_TOC_BYTES } from './limits.js';

const TOC_NAME = 'stargz.index.json';

export interface TocMember {
  readonly blob: string;
  /** Where the member is in the blob, for messages. */
  readonly offset: number;
  readonly effort: Effort;
}

/**
 * Inflates a table of contents.
 * @returns the JSON text, not parsed
 * @throws OverlaybdError BAD_FORMAT, LIMIT, and what the effort throws
 */
export async function inflateToc(
  member: Buffer,
  { blob, offset, effort }: TocMember,
): Promise<Buffer> {
  const head = await inflated(member, TAR_HEAD_SIZE, blob, offset);
  const name = `${blob} (table of contents)`;
  const payload = findTarPayload(head, name, Number.MAX_SAFE_INTEGER);
  if (payload.size > MAX_TOC_BYTES) {
    throw formatError({
      blob,
      section: 'table of contents',
      offset,
      expected: `at most ${MAX_TOC_BYTES} bytes of JSON`,
      got: payload.size,
      code: 'LIMIT',
    });
  }
  const header = head.toString('latin1', payload.offset - 512, payload.offset - 412);
  const [file = ''] = header.split('\0', 1);
  if (file !== TOC_NAME) {
    throw formatError({
      blob,
      section: 'table of contents',
      offset,
      expected: `a tar with ${TOC_NAME}`,
      got: quoted(file),
    });
  }
  const end = payload.offset + payload.size;
  effort.spend(Math.ceil(end / DECODED_BYTES_A_UNIT));
  const tar = await inflated(member, end, blob, offset);
  if (tar.length === end) return tar.subarray(payload.offset);
  throw formatError({
    blob,
    section: 'table of contents',
    offset,
    expected: `${payload.size} bytes of JSON`,
    got: tar.length - payload.offset,
  });
}

async function inflated(
  member: Buffer,
  wanted: number,
  blob: string,
  offset: number,
): Promise<Buffer> {
  try {
    const bytes = await inflateBegin(member, wanted, true);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  } catch (cause) {
    const text = `${blob}: table of contents at byte ${offset}: not a gzip member: ${messageOf(cause)}`;
    throw new OverlaybdError('BAD_FORMAT', text, { cause, facts: { blob, offset } });
  }
}
