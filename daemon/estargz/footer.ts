// The last bytes of a blob that say where its table of contents is: those of eStargz, of its predecessor stargz, and of
// eStargz with the table in another blob. Pure.

import { formatError } from '../errors.js';
import { quoted } from '../lib/printable.js';

export interface EstargzFooter {
  readonly kind: 'eStargz' | 'stargz' | 'eStargz with an external TOC';
  /** Bytes of the footer. */
  readonly size: number;
  /** Byte offset of the gzip member with the table; null: it is in another blob. */
  readonly tocOffset: number | null;
}

/** Bytes of the longest footer. */
export const MAX_FOOTER_SIZE = 51;
/** An empty gzip member: magic, deflate, extra field. */
const GZIP_EXTRA = Buffer.from('1f8b0804', 'hex');
const EXTRA_SIZE_AT = 10;
/** An empty last block that is stored, and the checksum and length of nothing. */
const EMPTY_END = Buffer.from('010000ffff0000000000000000', 'hex');

const FORMS = [
  { kind: 'eStargz', size: 51, field: 'SG\x16\x00', magic: 'STARGZ' },
  { kind: 'stargz', size: 47, field: '', magic: 'STARGZ' },
  {
    kind: 'eStargz with an external TOC',
    size: 46,
    field: 'SG\x11\x00',
    magic: 'STARGZEXTERNALTOC',
  },
] as const;

/**
 * Reads the footer of a blob.
 * @param tail its last MAX_FOOTER_SIZE bytes, or all
 * @param size bytes of the blob
 * @returns null if it has none
 * @throws OverlaybdError BAD_FORMAT if there is one that is wrong
 */
export function parseFooter(tail: Buffer, blob: string, size: number): EstargzFooter | null {
  for (const form of FORMS) {
    const footer = tail.subarray(Math.max(0, tail.length - form.size));
    if (footer.length !== form.size || !isForm(footer, form)) continue;
    if (form.size === 46) return { kind: form.kind, size: form.size, tocOffset: null };
    const at = EXTRA_SIZE_AT + 2 + form.field.length;
    return {
      kind: form.kind,
      size: form.size,
      tocOffset: offsetOf(footer.toString('latin1', at, at + 16), blob, size - form.size, at),
    };
  }
  return null;
}

function isForm(footer: Buffer, { field, magic }: (typeof FORMS)[number]): boolean {
  const end = footer.length - EMPTY_END.length;
  const extra = footer.toString('latin1', EXTRA_SIZE_AT + 2, end);
  return (
    footer.subarray(0, GZIP_EXTRA.length).equals(GZIP_EXTRA) &&
    footer.readUInt16LE(EXTRA_SIZE_AT) === extra.length &&
    extra.startsWith(field) &&
    extra.endsWith(magic) &&
    footer.subarray(end).equals(EMPTY_END)
  );
}

function offsetOf(digits: string, blob: string, end: number, at: number): number {
  const offset = /^[0-9a-fA-F]{16}$/.test(digits) ? Number.parseInt(digits, 16) : Number.NaN;
  if (offset < end) return offset;
  throw formatError({
    blob,
    section: 'footer',
    offset: end + at,
    expected: `16 hexadecimal digits of an offset below ${end}`,
    got: quoted(digits),
  });
}
