// Writes blobs of eStargz, stargz and zstd:chunked for tests, from a list of files.
import { gzipSync } from 'node:zlib';
import { createHash } from 'node:crypto';
import { compress } from 'zstd-napi';
import type { EstargzFooter } from '../../daemon/estargz/footer.js';
import type { ChunkedFooter } from '../../daemon/estargz/chunked-footer.js';
import { writeUstar } from './ustar.js';

export function estargzFooter(kind: EstargzFooter['kind'], offset: number): Buffer {
  const digits = offset.toString(16).padStart(16, '0');
  const extra = {
    eStargz: `SG\x16\x00${digits}STARGZ`,
    stargz: `${digits}STARGZ`,
    'eStargz with an external TOC': 'SG\x11\x00STARGZEXTERNALTOC',
  }[kind];
  return Buffer.concat([
    Buffer.from('1f8b08040000000000ff', 'hex'),
    Buffer.from([extra.length, 0]),
    Buffer.from(extra, 'latin1'),
    Buffer.from('010000ffff0000000000000000', 'hex'),
  ]);
}

export function chunkedFooter(
  form: 'old' | 'new',
  { offset, compressed, uncompressed, type = 1 }: ChunkedFooter & { type?: number },
): Buffer {
  const footer = Buffer.alloc(form === 'old' ? 48 : 72);
  footer.write('502a4d18', 0, 'hex');
  footer.writeUInt32LE(footer.length - 8, 4);
  for (const [i, value] of [offset, compressed, uncompressed, type].entries()) {
    footer.writeBigUInt64LE(BigInt(value), 8 + 8 * i);
  }
  footer.write(form === 'old' ? 'GnUlInUx' : 'GNUlInUx', footer.length - 8, 'latin1');
  return footer;
}

export interface TocFile {
  /** The fields of its entry; those of its pieces are added if it has bytes. */
  entry: Record<string, unknown>;
  bytes?: Buffer;
}

export interface WriteOptions {
  form: 'eStargz' | 'stargz' | 'zstd:chunked old' | 'zstd:chunked';
  /** Plain bytes of a piece at most. */
  pieceSize?: number;
  /** Changes the table before it is written. */
  change?: (toc: { entries: Record<string, unknown>[] }) => unknown;
}

export interface WrittenBlob {
  blob: Buffer;
  /** What an annotation says of the table of contents. */
  digest: string;
}

/** Between two pieces there is something else, as the headers of the archive. */
const HEADER = Buffer.alloc(512, 'header');

export function writeEstargz(files: readonly TocFile[], options: WriteOptions): WrittenBlob {
  const { form, pieceSize = 1 << 20, change = (toc) => toc } = options;
  const isZstd = form.startsWith('zstd');
  const stored = isZstd ? compress : (bytes: Buffer) => gzipSync(bytes);
  const parts: Buffer[] = [stored(HEADER)];
  let at = parts[0]?.length ?? 0;
  const entries: Record<string, unknown>[] = [];
  for (const { entry, bytes } of files) {
    if (!bytes || bytes.length === 0) {
      entries.push(entry);
      continue;
    }
    for (let offset = 0; offset < bytes.length; offset += pieceSize) {
      const piece = bytes.subarray(offset, offset + pieceSize);
      const rest = bytes.length - offset;
      entries.push({
        ...(offset === 0
          ? { ...entry, size: bytes.length, digest: sha256(bytes) }
          : { name: entry['name'], type: 'chunk', chunkOffset: offset }),
        offset: at,
        ...(rest > pieceSize && { chunkSize: pieceSize }),
        chunkDigest: sha256(piece),
      });
      const part =
        form === 'zstd:chunked'
          ? Buffer.concat([compress(piece), compress(HEADER)])
          : stored(Buffer.concat([piece, HEADER]));
      parts.push(part);
      at += part.length;
    }
  }
  const json = Buffer.from(JSON.stringify(change({ entries })));
  if (!isZstd) {
    const toc = gzipSync(writeUstar([{ name: 'stargz.index.json', bytes: json }]));
    const footer = estargzFooter(form === 'stargz' ? 'stargz' : 'eStargz', at);
    return { blob: Buffer.concat([...parts, toc, footer]), digest: sha256(json) };
  }
  const manifest = compress(json);
  const skippable = Buffer.alloc(8);
  skippable.write('502a4d18', 0, 'hex');
  skippable.writeUInt32LE(manifest.length, 4);
  const place = { offset: at + 8, compressed: manifest.length, uncompressed: json.length };
  const footer = chunkedFooter(form === 'zstd:chunked' ? 'new' : 'old', place);
  return { blob: Buffer.concat([...parts, skippable, manifest, footer]), digest: sha256(manifest) };
}

function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
