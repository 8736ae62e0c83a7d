// The table of a source of pieces as sections of a record, and back.

import type { Section, SectionReader, Sections } from '../lib/sections.js';
import { DIGEST_SIZE, type PieceTable } from './piece-table.js';

/** For a table whose digests are SHA-256 of plain bytes, as those of archives that were read as a whole. */
export function tableSections(table: PieceTable): Sections {
  const { blocks } = table;
  const sections: [string, Section][] = [
    // The numbers that no other section gives.
    ['table', Float64Array.of(table.count, table.size, table.begins.length, blocks ? 1 : 0)],
    ['piecePositions', table.positions],
    ['pieceLengths', table.lengths],
    ['pieceMembers', table.members],
    ['pieceInner', table.inner],
    ['pieceDigests', table.digests],
    ['pieceHasDigest', table.hasDigest],
    ['memberBegins', table.begins],
    ['memberStored', table.stored],
    ['memberPlain', table.plain],
    ['memberFirstPieces', table.firstPieces],
    ['memberEndPieces', table.endPieces],
    ['memberCodecs', table.codecs],
  ];
  if (blocks) {
    sections.push(
      ['blockBits', blocks.bits],
      ['blockWindowBegins', blocks.windowBegins],
      ['blockWindows', blocks.windows],
    );
  }
  return new Map(sections);
}

/** In memory that all threads share. @throws OverlaybdError BAD_FORMAT */
export function tableOfSections(sections: SectionReader): PieceTable {
  const [count = 0, size = 0, members = 0, hasBlocks = 0] = sections.take('table', Float64Array, 4);
  return {
    count,
    size,
    hash: 'sha256',
    positions: sections.takeShared('piecePositions', Float64Array, count),
    lengths: sections.takeShared('pieceLengths', Uint32Array, count),
    members: sections.takeShared('pieceMembers', Uint32Array, count),
    inner: sections.takeShared('pieceInner', Uint32Array, count),
    digests: sections.takeShared('pieceDigests', Uint8Array, DIGEST_SIZE * count),
    hasDigest: sections.takeShared('pieceHasDigest', Uint8Array, count),
    begins: sections.takeShared('memberBegins', Float64Array, members),
    stored: sections.takeShared('memberStored', Uint32Array, members),
    plain: sections.takeShared('memberPlain', Uint32Array, members),
    firstPieces: sections.takeShared('memberFirstPieces', Uint32Array, members),
    endPieces: sections.takeShared('memberEndPieces', Uint32Array, members),
    codecs: sections.takeShared('memberCodecs', Uint8Array, members),
    blocks:
      hasBlocks === 0
        ? null
        : {
            bits: sections.takeShared('blockBits', Uint8Array, members),
            windowBegins: sections.takeShared('blockWindowBegins', Float64Array, members + 1),
            windows: sections.takeShared('blockWindows', Uint8Array),
            skipped: 0,
          },
    storedDigests: null,
  };
}
