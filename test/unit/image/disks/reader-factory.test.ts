// Readers from specs: every kind nested in every other, and what the readers of a thread share.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { closeFile } from '../../../../daemon/blob/file-jobs.js';
import { openFile } from '../../../../daemon/blob/open-file.js';
import { readFully } from '../../../../daemon/blob/source.js';
import { loadAround, ReaderFactory } from '../../../../daemon/image/disks/reader-factory.js';
import { sliceOf, type SourceSpec } from '../../../../daemon/image/disks/spec.js';
import { newPlaces, newSharedMembers } from '../../../../daemon/pieces/shared-members.js';
import { textBytes } from '../../../support/pattern.js';
import { writePieces } from '../../../support/piece-writer.js';
import { unwrapped } from '../../../support/unwrapped.js';
import { writeZfile } from '../../../support/zfile-writer.js';

await loadAround();

const PLAIN = textBytes(1, 50_000);

await test('a slice of a ZFile in a slice of a file', async (t) => {
  const path = join(t.testdir(), 'blob');
  const zfile = writeZfile(PLAIN);
  writeFileSync(path, Buffer.concat([Buffer.alloc(777), zfile]));
  const { fd, spec } = await openFile(path);
  t.teardown(() => closeFile(fd));
  const inside = await unwrapped(sliceOf(spec, 777, zfile.length, 'in it'));
  const slice = sliceOf(inside.spec, 10_000, 5000, 'a part');
  const source = new ReaderFactory().source(structuredClone(slice));
  t.equal(source.name, 'a part');
  t.ok((await readFully(source, 0, 5000)).equals(PLAIN.subarray(10_000, 15_000)));
  await t.rejects(readFully(source, 1, 5000), { code: 'SHORT_READ' });
  const disk = new ReaderFactory().disk({ kind: 'raw', source: slice });
  t.equal(disk.size, 5000);
});

await test('a thread has one decoder for each algorithm', (t) => {
  const readers = new ReaderFactory();
  t.equal(readers.decoder('lz4'), readers.decoder('lz4'));
  t.not(readers.decoder('lz4'), readers.decoder('zstd'));
  t.not(readers.decoder('lz4'), new ReaderFactory().decoder('lz4'));
  t.end();
});

await test('threads share pieces, also if one of them had a source of objects first', async (t) => {
  const { blob, around } = writePieces(PLAIN, { codec: 'gzip', pieceSize: 10_000 });
  const path = join(t.testdir(), 'blob');
  writeFileSync(path, blob);
  const { fd, spec } = await openFile(path);
  t.teardown(() => closeFile(fd));
  const shared = newPlaces(around.table.begins.length);
  const pieces: SourceSpec = { ...around, shared, of: spec };
  const data = newSharedMembers();
  const threads = [new ReaderFactory(), new ReaderFactory()];
  for (const thread of threads) {
    // What a composefs export makes.
    thread.around();
    thread.shareMembers(data);
    const source = thread.source(pieces);
    t.ok((await readFully(source, 0, PLAIN.length)).equals(PLAIN));
  }
  t.same(
    threads.map(({ decoding }) => decoding?.misses),
    [5, 0],
  );
});
