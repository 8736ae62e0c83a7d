// Tables of pieces as the formats of layers make them: small files, one after another.
import {
  PieceTableBuilder,
  type PieceCodec,
  type PieceTable,
} from '../../daemon/pieces/piece-table.js';
import { randomBytes, seededRandom } from './pattern.js';

export interface MadeTable {
  name: string;
  table: PieceTable;
  /** Bytes for each file that it may take when it is packed. */
  most: number;
}

type Add = (builder: PieceTableBuilder, i: number, length: number) => void;

/** Pieces of a member in eStargz with innerOffset. */
const SHARED = 20;

/** @param count files, of 100 bytes to 64 KiB */
export function packedTables(count: number): MadeTable[] {
  const digest = randomBytes(1, 32);
  let begin = 0;
  let inner = 0;
  const alone =
    (codec: (i: number) => PieceCodec): Add =>
    (builder, i, length) => {
      const stored = Math.ceil(length / 3);
      builder.addStored({ codec: codec(i), begin, inner: 0, length, digest, stored });
      begin += stored;
    };
  const kinds: [name: string, most: number, add: Add][] = [
    ['a member for each file', 38, alone(() => 'gzip')],
    ['chunks of RAFS, some not compressed', 39, alone((i) => (i % 5 === 0 ? 'stored' : 'lz4'))],
    [
      'shared members',
      38,
      (builder, i, length) => {
        if (i % SHARED === 0) {
          begin += 40_000;
          inner = 0;
        }
        builder.addStored({ codec: 'gzip', begin, inner, length, digest });
        inner += Math.ceil(length / 512) * 512 + 512;
      },
    ],
    [
      'batches',
      39,
      (builder, i, length) => {
        if (i % SHARED === 0) {
          begin += 40_000;
          inner = 0;
        }
        const member = { begin, stored: 40_000, memberPlain: SHARED << 16 };
        builder.addStored({ ...member, codec: 'zstd', inner, length, digest });
        inner += length;
      },
    ],
    [
      'zeros among the pieces',
      38,
      (builder, i, length) => {
        if (i % 4 === 0) builder.addZeros(4096);
        else alone(() => 'zstd')(builder, i, length);
      },
    ],
    [
      'no digests',
      9,
      (builder, _, length) => {
        begin += 64;
        const stored = length % 2000;
        const place = { codec: 'stored', begin, inner: 0, stored } as const;
        builder.addStored({ ...place, length: stored + 1, digest: null });
      },
    ],
  ];
  return kinds.map(([name, most, add]) => {
    const builder = new PieceTableBuilder('blob');
    const next = seededRandom(1);
    begin = 0;
    inner = 0;
    for (let i = 0; i < count; i++) {
      builder.align();
      add(builder, i, 100 + (next() % (1 << (8 + (next() % 9)))));
    }
    return { name, table: builder.finish(begin + 100_000), most };
  });
}
