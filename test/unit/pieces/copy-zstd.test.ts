// Frames that are decoded as a stream into a copy: any length, and what is wrong.
import { compress } from 'zstd-napi';
import { test } from 'tap';
import { readFully } from '../../../daemon/blob/source.js';
import { createZstdStream } from '../../../daemon/codec/decoder.js';
import { loadAround, ReaderFactory } from '../../../daemon/image/disks/reader-factory.js';
import { UNBOUNDED } from '../../../daemon/lib/effort.js';
import { copyZstd } from '../../../daemon/pieces/copy-zstd.js';
import type { PieceTable } from '../../../daemon/pieces/piece-table.js';
import { PiecesSource } from '../../../daemon/pieces/pieces-source.js';
import { MemorySource } from '../../support/memory-source.js';
import { randomBytes, textBytes } from '../../support/pattern.js';

await loadAround();

const PLAIN = Buffer.concat([
  textBytes(1, 1_500_000),
  Buffer.alloc(3 << 20),
  randomBytes(2, 700_001),
]);
const skippable = Buffer.concat([Buffer.from('5a2a4d1803000000', 'hex'), Buffer.from('abc')]);

interface Copied {
  table: PieceTable;
  visited: Buffer;
  copy: Buffer;
  written: number;
}

async function copied(stored: Buffer): Promise<Copied> {
  const visited: Buffer[] = [];
  const copy = Buffer.alloc(8 << 20, 0xee);
  let written = 0;
  const write = (position: number, bytes: Buffer): Promise<void> => {
    bytes.copy(copy, position);
    written += bytes.length;
    return Promise.resolve();
  };
  const table = await copyZstd(
    new MemorySource(stored, 'layer'),
    createZstdStream(),
    UNBOUNDED,
    (bytes) => void visited.push(Buffer.from(bytes)),
    { write },
  );
  return { table, visited: Buffer.concat(visited), copy, written };
}

await test('frames of all kinds, and what is read from the copy', async (t) => {
  const stored = Buffer.concat([
    skippable,
    compress(PLAIN.subarray(0, 5)),
    compress(Buffer.alloc(0)),
    skippable,
    compress(PLAIN.subarray(5)),
    skippable,
  ]);
  const { table, visited, copy, written } = await copied(stored);
  t.ok(visited.equals(PLAIN));
  t.ok(written <= PLAIN.length - (2 << 20), 'zeros are not written');
  const spec = { kind: 'pieces', name: 'layer', table } as const;
  const source = new PiecesSource(spec, new MemorySource(copy), new ReaderFactory().pieceTools());
  t.ok((await readFully(source, 0, PLAIN.length)).equals(PLAIN));
  const changed = Buffer.from(copy);
  changed[1_200_000] = (changed[1_200_000] as number) ^ 1;
  const other = new PiecesSource(spec, new MemorySource(changed), new ReaderFactory().pieceTools());
  await t.resolves(readFully(other, 0, 1000));
  await t.rejects(readFully(other, 1_100_000, 10), { code: 'BAD_CHECKSUM' });
});

await test('what is refused', async (t) => {
  const one = compress(PLAIN);
  const refused = (stored: Buffer, code: string, message: RegExp): Promise<unknown> =>
    t.rejects(copied(stored), { code, message });
  const cut = /layer: zstd at byte 0: expected a whole zstd frame, got the end of the blob$/;
  await refused(one.subarray(0, -1), 'BAD_DATA', cut);
  await refused(Buffer.concat([one, Buffer.from('x')]), 'BAD_DATA', /a zstd frame, got something/);
  await refused(skippable.subarray(0, -1), 'BAD_DATA', /the end of a skippable frame/);
  const damaged = Buffer.from(compress(textBytes(1, 9000)));
  damaged.fill(0xff, 20, 60);
  await refused(damaged, 'BAD_DATA', /expected a (?:whole )?zstd frame/);
  // A window of 2^28 bytes.
  const wide = Buffer.from('28b52ffd009001000061', 'hex');
  await refused(wide, 'LIMIT', /a window of at most 134217728 bytes .*, got 268435456$/);
  await refused(Buffer.from('28b52ffd', 'hex'), 'BAD_DATA', /the header of a zstd frame/);
});

await test('frames without plain bytes count as work, and other work gets turns between them', async (t) => {
  const empty = Buffer.from('28b52ffd2000010000', 'hex');
  const frames = 30_000;
  let [units, turns, progress] = [0, 0, 0];
  const effort = {
    ...UNBOUNDED,
    spend: (more: number) => void (units += more),
    turn: () => {
      turns++;
      return null;
    },
    progress: (done: number) => void (progress = done),
  };
  const stored = Buffer.alloc(frames * empty.length, empty);
  const source = new MemorySource(stored, 'layer');
  const nothing = { write: (): Promise<void> => Promise.resolve() };
  const table = await copyZstd(source, createZstdStream(), effort, () => undefined, nothing);
  t.equal(table.count, 0);
  t.ok(units >= frames, 'it can be refused, or left to another thread');
  t.ok(turns >= 3, `${turns} turns`);
  t.ok(progress > stored.length / 2, 'it says how far it is');
});

const noRoom = { write: (): Promise<void> => Promise.reject(new Error('no room')) };

await test('what the copy throws ends it', async (t) => {
  const source = new MemorySource(compress(PLAIN));
  const copying = copyZstd(source, createZstdStream(), UNBOUNDED, () => undefined, noRoom);
  await t.rejects(copying, /no room/);
});
