// Writes blobs of eStargz, stargz and zstd:chunked for tests, from a list of files.
import { gzipSync } from 'node:zlib';
import { createHash } from 'node:crypto';
import { compress } from 'zstd-napi';
import type { EstargzFooter } from '../../daemon/estargz/footer.js';
import type { ChunkedFooter } from '../../daemon/estargz/chunked-footer.js';
import { writeUstar, type TarFile } from './ustar.js';

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
  form: EstargzFooter['kind'] | 'zstd:chunked old' | 'zstd:chunked';
  /** Plain bytes of a piece at most. */
  pieceSize?: number;
  /** Pieces in each gzip member, which have places in it (innerOffset); absent: one. Of eStargz. */
  perMember?: number;
  /** Puts the headers of a real archive between the pieces: the blob is a tar.gz or tar.zst, too. */
  isArchive?: boolean;
  /** Changes the table before it is written. */
  change?: (toc: { entries: Record<string, unknown>[] }) => unknown;
}

export interface WrittenBlob {
  blob: Buffer;
  /** What an annotation says about the table of contents. */
  digest: string;
  /** The table of contents, if it is another blob. */
  tocBlob: Buffer | null;
}

/** Between two pieces there is something else, as the headers of the archive. */
const HEADER = Buffer.alloc(512, 'header');

export function writeEstargz(files: readonly TocFile[], options: WriteOptions): WrittenBlob {
  const { form, pieceSize = 1 << 20, isArchive = false, change = (toc) => toc } = options;
  const { perMember = 1 } = options;
  const isZstd = form.startsWith('zstd');
  const stored = isZstd ? compress : (bytes: Buffer) => gzipSync(bytes);
  const begin = isArchive ? headersFrom(files, 0) : HEADER;
  const parts: Buffer[] = [stored(begin)];
  let at = parts[0]?.length ?? 0;
  const entries: Record<string, unknown>[] = [];
  let member: Buffer[] = [];
  const flush = (): void => {
    if (member.length === 0) return;
    const part = stored(Buffer.concat(member));
    parts.push(part);
    at += part.length;
    member = [];
  };
  for (const [i, { entry, bytes }] of files.entries()) {
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
        ...(member.length > 0 && { innerOffset: Buffer.concat(member).length }),
        ...(rest > pieceSize && { chunkSize: pieceSize }),
        chunkDigest: sha256(piece),
      });
      const isLast = rest <= pieceSize;
      const padding = Buffer.alloc(isLast ? -bytes.length & 511 : 0);
      const header = isLast ? headersFrom(files, i + 1) : Buffer.alloc(0);
      const after = isArchive ? Buffer.concat([padding, header]) : HEADER;
      if (form === 'zstd:chunked') {
        const part = Buffer.concat([compress(piece), compress(after)]);
        parts.push(part);
        at += part.length;
        continue;
      }
      member.push(Buffer.concat([piece, after]));
      if (member.length === perMember) flush();
    }
  }
  flush();
  const json = Buffer.from(JSON.stringify(change({ entries })));
  if (!isZstd) {
    const toc = gzipSync(writeUstar([{ name: 'stargz.index.json', bytes: json }]));
    const footer = estargzFooter(form as EstargzFooter['kind'], at);
    const isElsewhere = form === 'eStargz with an external TOC';
    return {
      blob: Buffer.concat([...parts, ...(isElsewhere ? [] : [toc]), footer]),
      digest: sha256(json),
      tocBlob: isElsewhere ? toc : null,
    };
  }
  if (isArchive) {
    // In gzip, the archive of the table ends all.
    const end = compress(Buffer.alloc(1024));
    parts.push(end);
    at += end.length;
  }
  const manifest = compress(json);
  const skippable = Buffer.alloc(8);
  skippable.write('502a4d18', 0, 'hex');
  skippable.writeUInt32LE(manifest.length, 4);
  const place = { offset: at + 8, compressed: manifest.length, uncompressed: json.length };
  const footer = chunkedFooter(form === 'zstd:chunked' ? 'new' : 'old', place);
  const blob = Buffer.concat([...parts, skippable, manifest, footer]);
  return { blob, digest: sha256(manifest), tocBlob: null };
}

const TYPES: Readonly<Record<string, TarFile['type']>> = {
  reg: '0',
  hardlink: '1',
  symlink: '2',
  dir: '5',
};

/** The headers from one file to the next one that has bytes. */
function headersFrom(files: readonly TocFile[], first: number): Buffer {
  const next = files.findIndex(({ bytes }, i) => i >= first && bytes && bytes.length > 0);
  const run = files.slice(first, next === -1 ? files.length : next + 1);
  const headers = run.map(({ entry: { name, type, linkName, mode }, bytes }) => {
    const file: TarFile = {
      name: String(name),
      type: TYPES[String(type)] ?? '0',
      ...(typeof linkName === 'string' && { link: linkName }),
      ...(typeof mode === 'number' && { mode }),
      ...(bytes && { bytes }),
    };
    return writeUstar([file]).subarray(0, 512);
  });
  return Buffer.concat(headers);
}

function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
