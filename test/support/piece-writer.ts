// Writes bytes as pieces that are compressed one by one, and their table, as the tools of images do.
import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { blake3 } from '@noble/hashes/blake3.js';
import { compress } from 'zstd-napi';
import { UNBOUNDED } from '../../daemon/lib/effort.js';
import type { PiecesSpec } from '../../daemon/pieces/pieces-source.js';
import {
  PieceTableBuilder,
  type PieceCodec,
  type PieceHash,
  type PieceTable,
} from '../../daemon/pieces/piece-table.js';
import { encodeBlock } from './encode-block.js';

export interface PieceOptions {
  codec: PieceCodec;
  /** Plain bytes of a piece. */
  pieceSize: number;
  /** Pieces that share a member; gzip only. */
  perMember?: number;
  /** Bytes of something else after the pieces of each member, such as a tar header. */
  tail?: number;
  /** The tail is in the same frame; zstd only. */
  isOneFrame?: boolean;
  digests?: boolean;
  hash?: PieceHash;
  /** Pieces of zeros are not stored. */
  zeros?: boolean;
}

export interface WrittenPieces {
  blob: Buffer;
  around: PiecesSpec<PieceTable>;
}

function digestOf(hash: PieceHash, bytes: Uint8Array): Uint8Array {
  return hash === 'blake3' ? blake3(bytes) : createHash('sha256').update(bytes).digest();
}

export function writePieces(plain: Buffer, options: PieceOptions): WrittenPieces {
  const {
    codec,
    pieceSize,
    perMember = 1,
    tail = 0,
    digests = true,
    zeros = false,
    isOneFrame = false,
    hash = 'sha256',
  } = options;
  const builder = new PieceTableBuilder('blob', UNBOUNDED, hash);
  const parts: Buffer[] = [];
  let begin = 0;
  builder.align();
  for (let at = 0; at < plain.length; at += pieceSize * perMember) {
    const member = plain.subarray(at, at + pieceSize * perMember);
    if (zeros && member.every((byte) => byte === 0)) {
      builder.addZeros(member.length);
      continue;
    }
    for (let inner = 0; inner < member.length; inner += pieceSize) {
      const piece = member.subarray(inner, inner + pieceSize);
      const digest = digests ? digestOf(hash, piece) : null;
      builder.addStored({ codec, begin, inner, length: piece.length, digest });
    }
    const rest = Buffer.alloc(tail, 7);
    const stored = storedAs(codec, isOneFrame ? [Buffer.concat([member, rest])] : [member, rest]);
    parts.push(stored);
    begin += stored.length;
  }
  const table = builder.finish(begin);
  return { blob: Buffer.concat(parts), around: { kind: 'pieces', name: 'pieces', table } };
}

function storedAs(codec: PieceCodec, parts: readonly Buffer[]): Buffer {
  const all = Buffer.concat(parts);
  if (codec === 'gzip') return gzipSync(all);
  if (codec === 'lz4') return encodeBlock('lz4', all);
  return codec === 'stored' ? all : zstdFrames(parts);
}

function zstdFrames(parts: readonly Buffer[]): Buffer {
  return Buffer.concat(parts.filter(({ length }) => length > 0).map((part) => compress(part)));
}
