// Writes bytes as pieces that are compressed one by one, and their table, as the tools of images do.
import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { compress } from 'zstd-napi';
import type { PiecesSpec } from '../../daemon/pieces/pieces-source.js';
import {
  PieceTableBuilder,
  type PieceCodec,
  type PieceTable,
} from '../../daemon/pieces/piece-table.js';

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
  /** Pieces of zeros are not stored. */
  zeros?: boolean;
}

export interface WrittenPieces {
  blob: Buffer;
  around: PiecesSpec<PieceTable>;
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
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
  } = options;
  const builder = new PieceTableBuilder('blob');
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
      const digest = digests ? sha256(piece) : null;
      builder.addStored({ codec, begin, inner, length: piece.length, digest });
    }
    const rest = Buffer.alloc(tail, 7);
    const stored =
      codec === 'gzip'
        ? gzipSync(Buffer.concat([member, rest]))
        : zstdFrames(isOneFrame ? [Buffer.concat([member, rest])] : [member, rest]);
    parts.push(stored);
    begin += stored.length;
  }
  const table = builder.finish(begin);
  return { blob: Buffer.concat(parts), around: { kind: 'pieces', name: 'pieces', table } };
}

function zstdFrames(parts: readonly Buffer[]): Buffer {
  return Buffer.concat(parts.filter(({ length }) => length > 0).map((part) => compress(part)));
}
