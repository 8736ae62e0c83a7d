// Tables at the end of data blobs, put together here.
import { createHash } from 'node:crypto';
import { test } from 'tap';
import { ImageEffort, TooLargeHere } from '../../../daemon/opener/effort.js';
import { ReaderFactory } from '../../../daemon/image/disks/reader-factory.js';
import { UNBOUNDED } from '../../../daemon/lib/effort.js';
import { hasRafsToc } from '../../../daemon/rafs/signs.js';
import { readPart, readToc } from '../../../daemon/rafs/toc.js';
import { encodeBlock } from '../../support/encode-block.js';
import { MemorySource } from '../../support/memory-source.js';
import { textBytes } from '../../support/pattern.js';
import { writeUstar } from '../../support/ustar.js';

const readers = new ReaderFactory();
const decoders = { zstd: readers.zstdDecoders(), lz4: readers.decoder('lz4') };
const PLAIN = textBytes(3, 5000);

function headerOf(name: string, size: number): Buffer {
  return writeUstar([{ name, bytes: Buffer.alloc(size) }]).subarray(0, 512);
}

/** A blob with one part, and the table. */
function blobOf(stored: Buffer, flags: number, change: (entry: Buffer) => void = () => undefined) {
  const entry = Buffer.alloc(128);
  entry.writeUInt32LE(flags, 0);
  entry.write('image.boot', 8);
  createHash('sha256').update(PLAIN).digest().copy(entry, 24);
  entry.writeUInt32LE(100, 56);
  entry.writeUInt32LE(stored.length, 64);
  entry.writeUInt32LE(PLAIN.length, 72);
  change(entry);
  return Buffer.concat([Buffer.alloc(100), stored, entry, headerOf('rafs.blob.toc', 128)]);
}

await test('parts in all forms', async (t) => {
  const forms: [Buffer, number][] = [
    [PLAIN, 1],
    [encodeBlock('zstd', PLAIN), 2],
    [encodeBlock('lz4', PLAIN), 4],
  ];
  for (const [stored, flags] of forms) {
    const blob = blobOf(stored, flags);
    t.ok(hasRafsToc(blob.subarray(-600)));
    const source = new MemorySource(blob);
    const [entry] = await readToc(source);
    t.match(entry, { name: 'image.boot', offset: 100, stored: stored.length, plain: 5000 });
    if (entry) t.same(await readPart(source, entry, decoders, UNBOUNDED), PLAIN);
  }
  t.notOk(hasRafsToc(Buffer.alloc(512)));
  t.notOk(hasRafsToc(Buffer.alloc(10)));
});

await test('tables that are not', async (t) => {
  const wrong: [Buffer, string, RegExp][] = [
    [headerOf('rafs.blob.toc', 128), 'BAD_FORMAT', /at byte 124: expected entries of 128 bytes/],
    [
      Buffer.concat([Buffer.alloc(100), headerOf('rafs.blob.toc', 100)]),
      'BAD_FORMAT',
      /expected entries of 128 bytes in front of it, got 100/,
    ],
    [
      Buffer.concat([Buffer.alloc(128 * 65), headerOf('rafs.blob.toc', 128 * 65)]),
      'LIMIT',
      /at most 64 entries, got 65/,
    ],
  ];
  const broken = headerOf('rafs.blob.toc', 0);
  broken.write('x', 124);
  wrong.push([broken, 'BAD_FORMAT', /got -1/]);
  for (const [blob, code, message] of wrong) {
    await t.rejects(readToc(new MemorySource(blob)), { code, message });
  }
});

await test('parts that are not what the table says', async (t) => {
  const wrong: [(entry: Buffer) => unknown, string, RegExp][] = [
    [
      (entry) => entry.writeUInt8(1, 61),
      'BAD_FORMAT',
      /image\.boot at byte .* a part that ends by/,
    ],
    [(entry) => entry.writeUInt8(1, 77), 'LIMIT', /image\.boot at byte 100: .* at most 536870912/],
    [(entry) => entry.writeUInt8(0, 24), 'BAD_CHECKSUM', /image\.boot .* the digest sha256:00/],
    [(entry) => entry.writeUInt8(2, 0), 'BAD_DATA', /5000 bytes, stored plain, as zstd or as LZ4/],
    [(entry) => entry.writeUInt8(4, 0), 'BAD_DATA', /got something else/],
    [(entry) => entry.writeUInt8(3, 0), 'BAD_DATA', /got something else/],
    [(entry) => entry.writeUInt8(1, 72), 'BAD_DATA', /4865 bytes/],
  ];
  for (const [change, code, message] of wrong) {
    const source = new MemorySource(blobOf(PLAIN, 1, (entry) => void change(entry)));
    const [entry] = await readToc(source);
    if (entry) await t.rejects(readPart(source, entry, decoders, UNBOUNDED), { code, message });
  }
});

await test('a large part is refused before it is decoded, if the thread has other work', async (t) => {
  const blob = blobOf(
    encodeBlock('zstd', PLAIN),
    2,
    (bytes) => void bytes.writeUInt32LE(8 << 20, 72),
  );
  const source = new MemorySource(blob);
  const [entry] = await readToc(source);
  if (!entry) throw new Error('no entry');
  await t.rejects(readPart(source, entry, decoders, new ImageEffort(true)), TooLargeHere);
  await t.rejects(readPart(source, entry, decoders, UNBOUNDED), { code: 'BAD_DATA' });
});

await test('a part without bytes, in all forms', async (t) => {
  for (const flags of [1, 2, 4]) {
    const source = new MemorySource(blobOf(PLAIN, flags, (entry) => void entry.fill(0, 72, 80)));
    const [entry] = await readToc(source);
    if (!entry) throw new Error('no entry');
    await t.rejects(readPart(source, entry, decoders, UNBOUNDED), {
      code: 'BAD_FORMAT',
      message: /image\.boot at byte 100: expected at least one byte, got 0$/,
    });
  }
});
