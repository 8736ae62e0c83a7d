// Replays the index of an append-only upper: entries in write order, the later one wins. Pure.

import { overlay } from './merge.js';
import { SegmentList, ZEROED } from './segment-list.js';

/** So few entries are laid one over the other naively: cheaper than lists of one segment. */
const NAIVE_ENTRIES = 16;

/**
 * @param written entries in write order; they may overlap
 * @returns what they map at the end, in LBA order
 */
export function replay(written: SegmentList): SegmentList {
  return replayRange(written, 0, written.count);
}

function replayRange(written: SegmentList, begin: number, end: number): SegmentList {
  const inOrder = copyWhileAscending(written, begin, end);
  if (inOrder) return inOrder;
  if (end - begin <= NAIVE_ENTRIES) return replayNaively(written, begin, end);
  const middle = (begin + end) >>> 1;
  return overlay(replayRange(written, middle, end), replayRange(written, begin, middle));
}

/** Sequential writes, the usual case, need no merging at all. */
function copyWhileAscending(written: SegmentList, begin: number, end: number): SegmentList | null {
  for (let i = begin + 1; i < end; i++) {
    const previousEnd = (written.offsets[i - 1] as number) + (written.lengths[i - 1] as number);
    if ((written.offsets[i] as number) < previousEnd) return null;
  }
  const out = new SegmentList(end - begin);
  for (let i = begin; i < end; i++) {
    out.pushJoined(
      written.offsets[i] as number,
      written.lengths[i] as number,
      written.moffsets[i] as number,
      0,
    );
  }
  return out;
}

interface Piece {
  readonly offset: number;
  readonly end: number;
  readonly moffset: number;
}

function replayNaively(written: SegmentList, begin: number, end: number): SegmentList {
  let pieces: Piece[] = [];
  for (let i = begin; i < end; i++) {
    const offset = written.offsets[i] as number;
    const added: Piece = {
      offset,
      end: offset + (written.lengths[i] as number),
      moffset: written.moffsets[i] as number,
    };
    pieces = [...pieces.flatMap((piece) => cut(piece, added)), added];
  }
  pieces.sort((a, b) => a.offset - b.offset);
  const out = new SegmentList(pieces.length);
  for (const piece of pieces) {
    out.pushJoined(piece.offset, piece.end - piece.offset, piece.moffset, 0);
  }
  return out;
}

/** What is left of `piece` beside `hole`: nothing, one part or two. */
function cut(piece: Piece, hole: Piece): Piece[] {
  if (hole.end <= piece.offset || hole.offset >= piece.end) return [piece];
  const left: Piece[] = [];
  if (piece.offset < hole.offset) left.push({ ...piece, end: hole.offset });
  if (hole.end < piece.end) {
    const skipped = hole.end - piece.offset;
    const moffset = piece.moffset === ZEROED ? ZEROED : piece.moffset + skipped;
    left.push({ offset: hole.end, end: piece.end, moffset });
  }
  return left;
}
