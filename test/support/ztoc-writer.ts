// Writes a layer and its ztoc, as SOCI's own tool does: from an archive, in gzip with checkpoints or plain.
import { createHash } from 'node:crypto';
import { gzipSync, inflateRawSync } from 'node:zlib';
import { readFully } from '../../daemon/blob/source.js';
import { indexGzip } from '../../daemon/inflate/index-gzip.js';
import { UNBOUNDED } from '../../daemon/lib/effort.js';
import { deflateAt } from '../../daemon/pieces/gzip-member.js';
import { CODECS } from '../../daemon/pieces/piece-table.js';
import { readArchive } from '../../daemon/tarball/read-archive.js';
import type { LayerTree } from '../../daemon/tree/layer-tree.js';
import { writeFlat, type FlatValue } from './flat-writer.js';
import { MemorySource } from './memory-source.js';

const WINDOW = 32_768;

export interface ZtocOptions {
  form: 'gzip' | 'gzip version 1' | 'plain';
  spanSize: number;
  /** Bytes of the archive in each gzip member; all by default. */
  memberSize?: number;
  /** The first gzip member has a name in its header. */
  hasName?: boolean;
  /** Bytes of the field for extensions in the header of the first gzip member. */
  extraSize?: number;
  change?: (parts: ZtocParts) => void;
}

/** What a test may change before it is written. */
export interface ZtocParts {
  compressedSize: number;
  uncompressedSize: number;
  entries: FlatValue[][];
  algorithm: number;
  maxSpanId: number;
  digests: string[];
  checkpoints: Buffer;
}

export interface WrittenZtoc {
  layer: Buffer;
  ztoc: Buffer;
}

export async function writeZtoc(archive: Buffer, options: ZtocOptions): Promise<WrittenZtoc> {
  const tree = await readArchive(new MemorySource(archive, 'archive'), UNBOUNDED);
  const layer = options.form === 'plain' ? archive : membersOf(archive, options);
  const spans =
    options.form === 'plain'
      ? plainSpans(layer, options.spanSize)
      : await gzipSpans(layer, options.spanSize, options.form === 'gzip version 1');
  const parts: ZtocParts = {
    compressedSize: layer.length,
    // Where a reader stops.
    uncompressedSize: archive.length,
    entries: entriesOf(tree, archive),
    algorithm: options.form === 'plain' ? 2 : 1,
    maxSpanId: spans.digests.length - 1,
    ...spans,
  };
  options.change?.(parts);
  return { layer, ztoc: ztocOf(parts) };
}

function ztocOf(parts: ZtocParts): Buffer {
  return writeFlat([
    { bytes: '0.9' },
    { bytes: 'test' },
    { i64: parts.compressedSize },
    { i64: parts.uncompressedSize },
    { table: [{ tables: parts.entries }] },
    {
      table: [
        parts.algorithm === 1 ? null : { i8: parts.algorithm },
        { i32: parts.maxSpanId },
        { texts: parts.digests },
        { bytes: parts.checkpoints },
      ],
    },
  ]);
}

function entriesOf(tree: LayerTree, archive: Buffer): FlatValue[][] {
  return Array.from({ length: tree.count }, (_, i) => {
    const entry = tree.entry(i);
    const { type, path, target, mode, uid, gid, mtime, mtimeNs, size, rdev, xattrs, data } = entry;
    const slash = path.lastIndexOf('/') + 1;
    const hidden = `${path.slice(0, slash)}.wh.${path.slice(slash)}`;
    const name = { whiteout: hidden, opaque: `${path}/.wh..wh..opq` }[type as string] ?? path;
    const records = [...(xattrs ?? [])].map(([key, value]): FlatValue[] => [
      { bytes: `SCHILY.xattr.${key}` },
      { bytes: value },
    ]);
    const time = new Date(mtime * 1000).toISOString().replace('.000Z', '');
    return [
      { bytes: name },
      { bytes: ['whiteout', 'opaque'].includes(type) ? 'reg' : type },
      { i64: data[0]?.offset ?? dataBegin(archive, entry.position) },
      { i64: size },
      target === '' ? null : { bytes: target },
      { i64: mode },
      { u32: uid },
      { u32: gid },
      { bytes: '' },
      null,
      { bytes: `${time}.${String(mtimeNs).padStart(9, '0')}Z` },
      { i64: rdev?.major ?? 0 },
      { i64: rdev?.minor ?? 0 },
      records.length === 0 ? null : { tables: records },
    ];
  });
}

/** After all headers of an entry. */
function dataBegin(archive: Buffer, position: number): number {
  let at = position;
  for (;;) {
    const type = archive.toString('latin1', at + 156, at + 157);
    const size = Number.parseInt(archive.toString('latin1', at + 124, at + 135), 8) || 0;
    at += 512;
    if (!'xgLK'.includes(type)) return at;
    at += Math.ceil(size / 512) * 512;
  }
}

function membersOf(
  archive: Buffer,
  { memberSize = archive.length, hasName, extraSize = 0 }: ZtocOptions,
): Buffer {
  const members: Buffer[] = [];
  for (let at = 0; at < archive.length; at += memberSize) {
    members.push(gzipSync(archive.subarray(at, at + memberSize), { memLevel: 1 }));
  }
  const [first = Buffer.alloc(0), ...rest] = members;
  const head = Buffer.from(first.subarray(0, 10));
  head[3] = (hasName ? 8 : 0) + (extraSize > 0 ? 4 : 0);
  const extra = Buffer.alloc(extraSize > 0 ? 2 + extraSize : 0);
  if (extraSize > 0) extra.writeUInt16LE(extraSize);
  const name = Buffer.from(hasName ? 'layer.tar\0' : '');
  return Buffer.concat([head, extra, name, first.subarray(10), ...rest]);
}

function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

function plainSpans(layer: Buffer, spanSize: number): Pick<ZtocParts, 'digests' | 'checkpoints'> {
  const digests: string[] = [];
  for (let at = 0; at < layer.length; at += spanSize) {
    digests.push(sha256(layer.subarray(at, at + spanSize)));
  }
  return {
    digests,
    checkpoints: writeFlat([{ i32: 2 }, { i64: spanSize }, { i64: layer.length }]),
  };
}

async function gzipSpans(
  layer: Buffer,
  spanSize: number,
  isVersion1: boolean,
): Promise<Pick<ZtocParts, 'digests' | 'checkpoints'>> {
  const source = new MemorySource(layer, 'layer');
  const table = await indexGzip(source, UNBOUNDED, () => undefined, spanSize);
  const { begins, codecs, positions, blocks, count } = table;
  if (!blocks) throw new Error('no blocks');
  const firsts: { begin: number; end: number }[] = [];
  const checkpoints: Buffer[] = [];
  for (let i = 0; i < count; i++) {
    const begin = begins[i] as number;
    const bits = blocks.bits[i] as number;
    const isMember = CODECS[codecs[i] as number] === 'gzip';
    const header = isMember
      ? (deflateAt(await readFully(source, begin, layer.length - begin)) ?? 0)
      : 0;
    const stored = isMember ? begin + header : begin + (bits > 0 ? 1 : 0);
    const checkpoint = Buffer.alloc(17 + WINDOW);
    checkpoint.writeBigInt64LE(BigInt(stored), 0);
    checkpoint.writeBigInt64LE(BigInt(positions[i] as number), 8);
    checkpoint[16] = bits;
    const window = inflateRawSync(
      blocks.windows.subarray(blocks.windowBegins[i], blocks.windowBegins[i + 1]),
    );
    window.copy(checkpoint, checkpoint.length - window.length);
    checkpoints.push(checkpoint);
    firsts.push({ begin: isVersion1 && i === 0 ? 10 : stored - (bits > 0 ? 1 : 0), end: stored });
  }
  const head = Buffer.alloc(12);
  head.writeInt32LE(count, 0);
  head.writeBigInt64LE(BigInt(spanSize), 4);
  return {
    digests: firsts.map(({ begin }, i) =>
      sha256(layer.subarray(begin, firsts[i + 1]?.end ?? layer.length)),
    ),
    checkpoints: Buffer.concat([head, ...checkpoints.slice(isVersion1 ? 1 : 0)]),
  };
}
