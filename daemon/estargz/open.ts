// Opens the table of contents of a blob: of eStargz, stargz and zstd:chunked.

import { readFully, type BlobSource } from '../blob/source.js';
import { OverlaybdError, formatError } from '../errors.js';
import { DECODED_BYTES_A_UNIT, type Effort } from '../lib/effort.js';
import { decodeFrames, type ZstdDecoders } from '../pieces/zstd-frames.js';
import type { PiecesSpec } from '../pieces/pieces-source.js';
import { packTable } from '../pieces/packed-table.js';
import type { LayerTree } from '../tree/layer-tree.js';
import { counted } from '../lib/counted.js';
import { sha256Of } from '../lib/sha256.js';
import type { ChunkedFooter } from './chunked-footer.js';
import type { EstargzFooter } from './footer.js';
import { inflateToc } from './gzip-toc.js';
import { MAX_TOC_BYTES } from './limits.js';
import { readToc, type TocOptions } from './toc.js';

/** What the manifest or the command line requires of the table of contents. */
export interface TocWishes {
  /** The digests that it must have; null if nothing says them. */
  readonly toc: { readonly json: string | null; readonly manifest: string | null } | null;
  /** The blob with the table of contents, if it is not in the layer. */
  readonly tocSource: BlobSource | null;
  readonly effort: Effort;
}

export interface OpenedToc {
  readonly tree: LayerTree;
  readonly pieces: PiecesSpec;
  /** The digest that the table of contents has. */
  readonly digest: string;
  /** Sentences for people. */
  readonly notes: readonly string[];
}

/**
 * Opens a blob of eStargz or stargz.
 * @throws OverlaybdError BAD_FORMAT, BAD_CHECKSUM, LIMIT, UNSUPPORTED, and what reading and the effort throw
 */
export async function openEstargz(
  source: BlobSource,
  { kind, size: footerSize, tocOffset }: EstargzFooter,
  wishes: TocWishes,
): Promise<OpenedToc> {
  const { name, size } = source;
  const { toc, tocSource } = wishes;
  const blobEnd = size - footerSize;
  if ((tocOffset === null) !== (tocSource !== null)) {
    const what = tocOffset === null ? 'in another blob: name it with --toc-blob' : 'in the layer';
    const text = `${name}: ${kind}: its table of contents is ${what}`;
    throw new OverlaybdError('UNSUPPORTED', text, { facts: { blob: name } });
  }
  const from = tocSource ?? source;
  const begin = tocOffset ?? 0;
  const end = tocSource ? tocSource.size : blobEnd;
  checkSize(from.name, begin, end - begin);
  const { effort } = wishes;
  effort.spend(Math.ceil((end - begin) / DECODED_BYTES_A_UNIT));
  const member = await readFully(from, begin, end - begin);
  const json = await inflateToc(member, { blob: from.name, offset: begin, effort });
  const digest = checkedDigest(json, toc?.json ?? null, from.name, begin);
  return openToc(json, digest, { name, codec: 'gzip', end: tocOffset ?? blobEnd }, wishes);
}

/**
 * Opens a blob of zstd:chunked.
 * @throws OverlaybdError BAD_FORMAT, BAD_CHECKSUM, LIMIT, UNSUPPORTED, and what reading and the effort throw
 */
export async function openChunked(
  source: BlobSource,
  { offset, compressed, uncompressed }: ChunkedFooter,
  decoders: ZstdDecoders,
  wishes: TocWishes,
): Promise<OpenedToc> {
  const { name } = source;
  wishes.effort.spend(Math.ceil((compressed + uncompressed) / DECODED_BYTES_A_UNIT));
  const manifest = await readFully(source, offset, compressed);
  const digest = checkedDigest(manifest, wishes.toc?.manifest ?? null, name, offset);
  const json = decodeFrames(manifest, uncompressed, decoders);
  if (!json) {
    throw formatError({
      blob: name,
      section: 'manifest',
      offset,
      expected: `zstd frames of ${uncompressed} bytes`,
      got: 'something else',
    });
  }
  if (wishes.toc?.json && !wishes.toc.manifest)
    checkedDigest(Buffer.from(json.buffer), wishes.toc.json, name, offset);
  return openToc(Buffer.from(json.buffer), digest, { name, codec: 'zstd', end: offset }, wishes);
}

async function openToc(
  json: Buffer,
  digest: string,
  { name, ...pieces }: Pick<TocOptions, 'codec' | 'end'> & { name: string },
  wishes: TocWishes,
): Promise<OpenedToc> {
  const { effort } = wishes;
  const needsDigests = wishes.toc !== null;
  const toc = await readToc(json, { blob: name, ...pieces, needsDigests, effort });
  const table = packTable(toc.table, name, effort);
  const notes: string[] = [];
  if (!needsDigests) {
    notes.push(
      `${name}: its table of contents is not verified: nothing says which digest it must have`,
    );
  }
  if (toc.unchecked > 0) {
    const what = counted(toc.unchecked, 'piece');
    notes.push(`${name}: ${what} without a digest: the contents of files are not verified`);
  }
  const format = pieces.codec === 'zstd' ? 'zstd:chunked' : 'estargz';
  const { tree, prefetchEnd } = toc;
  const prefetch = prefetchEnd > 0 ? [{ begin: 0, end: prefetchEnd }] : [];
  return { tree, pieces: { kind: 'pieces', name, table, format, prefetch }, digest, notes };
}

function checkSize(blob: string, offset: number, size: number): void {
  if (size <= MAX_TOC_BYTES) return;
  const expected = `a table of contents of at most ${MAX_TOC_BYTES} bytes`;
  throw formatError({ blob, section: 'footer', offset, expected, got: size, code: 'LIMIT' });
}

/** @throws OverlaybdError BAD_CHECKSUM */
function checkedDigest(
  bytes: Buffer,
  expected: string | null,
  blob: string,
  offset: number,
): string {
  const digest = sha256Of(bytes);
  if (expected === null || expected === digest) return digest;
  throw formatError({
    blob,
    section: 'table of contents',
    offset,
    expected: `the digest ${expected}`,
    got: digest,
    code: 'BAD_CHECKSUM',
  });
}
