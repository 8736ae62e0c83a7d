// Limits of SOCI. docs/limits.md explains them.

import { MAX_DECODED_BYTES } from '../pieces/limits.js';

/** Bytes of a ztoc. With the usual spans of 4 MiB, that of a layer of 16 GiB is as long. */
export const MAX_ZTOC_BYTES = 128 << 20;
/** Bytes of a list of spans to prefetch: some 20,000 ranges. */
export const MAX_PREFETCH_BYTES = 1 << 20;
/** Ranges of such a list. */
export const MAX_PREFETCH_SPANS = 65_536;
/** Bytes read of a ztoc, as a multiple of its size: many offsets may lead to the same bytes. Tools do not share them. */
export const MAX_READS = 4;
/** Plain bytes of a span. */
export const MAX_SPAN_BYTES = MAX_DECODED_BYTES;
/** Stored bytes of a span: what does not shrink is a little longer than it was. */
export const MAX_STORED_SPAN = MAX_SPAN_BYTES + (1 << 20);
/** Bytes of a layer in which the header of its first gzip member ends: its field for extensions has up to 64 KiB. */
export const MAX_GZIP_HEADER = 128 * 1024;
