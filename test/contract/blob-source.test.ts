// What every blob source must do, one suite for all implementations: files, slices, and ZFiles of each kind.
import { closeSync, ftruncateSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { closeFile } from '../../daemon/blob/file-jobs.js';
import type { FileSource } from '../../daemon/blob/file-source.js';
import { openFile } from '../../daemon/blob/open-file.js';
import { readFully, type BlobSource } from '../../daemon/blob/source.js';
import { OverlaybdError } from '../../daemon/errors.js';
import { ReaderFactory } from '../../daemon/image/reader-factory.js';
import { peel } from '../../daemon/image/peel.js';
import { readLoaded } from '../../daemon/lib/loaded.js';
import { randomBytes, textBytes } from '../support/pattern.js';
import { wrapTar } from '../support/tar-writer.js';
import { writeZfile, type ZfileOptions } from '../support/zfile-writer.js';

/** Neither whole sectors nor whole blocks, and more than one run of blocks or chunk of a load. */
const SIZE = (1 << 20) + 70_001;
const PLAIN = Buffer.concat([
  textBytes(1, 300_000),
  randomBytes(2, 300_000),
  Buffer.alloc(100_000),
  textBytes(3, SIZE - 700_000),
]);

interface Implementation {
  readonly name: string;
  /** The bytes of the file that the source reads. */
  readonly file: Buffer;
  readonly make: (file: FileSource) => Promise<BlobSource>;
  /** Bytes at the end of the file whose loss the source must notice when it reads its own end. */
  readonly cut: number;
}

const peeled = async (file: FileSource): Promise<BlobSource> => {
  const blob = await peel(file, new ReaderFactory());
  if (!blob) throw new Error('a sink that throws leaves no null');
  return blob.source;
};

function zfile(name: string, options: ZfileOptions): Implementation {
  const file = writeZfile(PLAIN, options);
  const blocks = Math.ceil(SIZE / (options.blockSize ?? 4096));
  return { name, file, make: peeled, cut: 512 + 4 * blocks + 1 };
}

const implementations: Implementation[] = [
  { name: 'file', file: PLAIN, make: (file) => Promise.resolve(file), cut: 1 },
  {
    name: 'slice',
    file: Buffer.concat([randomBytes(8, 777), PLAIN, randomBytes(9, 999)]),
    make: (file) => Promise.resolve(file.slice(777, SIZE, 'a slice')),
    cut: 1000,
  },
  {
    name: 'slice of a slice',
    file: Buffer.concat([randomBytes(8, 777), PLAIN, randomBytes(9, 999)]),
    make: (file) => Promise.resolve(file.slice(700, SIZE + 200, 'outer').slice(77, SIZE, 'inner')),
    cut: 1000,
  },
  { name: 'tar member', file: wrapTar(PLAIN, { pax: true }), make: peeled, cut: 2048 },
  zfile('lz4 zfile', { algorithm: 'lz4' }),
  zfile('zstd zfile', { algorithm: 'zstd', mode: 'trailer' }),
  zfile('lz4 zfile without checksums', { algorithm: 'lz4', verify: false, blockSize: 512 }),
  zfile('zstd zfile without checksums', { algorithm: 'zstd', verify: false, blockSize: 65_536 }),
  {
    name: 'lz4 zfile in a tar',
    file: wrapTar(writeZfile(PLAIN, { blockSize: 32_768 }), { pax: false }),
    make: peeled,
    cut: 1024 + 512 + 512 + 4 * 35,
  },
];

interface Opened {
  readonly source: BlobSource;
  /** Makes the file shorter, and whole again. */
  readonly truncate: (size: number) => void;
  readonly repair: () => void;
}

async function open(t: Test, { file, make }: Implementation): Promise<Opened> {
  const path = join(t.testdir(), 'blob');
  writeFileSync(path, file);
  const fd = openSync(path, 'r+');
  const opened = await openFile(path);
  t.teardown(() => {
    closeSync(fd);
    closeFile(opened.fd);
  });
  const source = await make(opened.source);
  return {
    source,
    truncate: (size) => ftruncateSync(fd, size),
    repair: () => {
      ftruncateSync(fd, file.length);
      for (let done = 0; done < file.length;) done += writeSync(fd, file, done, undefined, done);
    },
  };
}

const GUARD = 0x6b;

/** Reads into the middle of a buffer and looks that nothing beside it was touched. */
async function readExactly(source: BlobSource, offset: number, length: number): Promise<Buffer> {
  const dst = Buffer.alloc(length + 32, GUARD);
  await readLoaded(source, offset, length, () => source.read(offset, length, dst, 16));
  const guards = Buffer.concat([dst.subarray(0, 16), dst.subarray(16 + length)]);
  if (!guards.equals(Buffer.alloc(32, GUARD))) throw new Error(`${offset}+${length}: overrun`);
  return dst.subarray(16, 16 + length);
}

for (const implementation of implementations) {
  await test(implementation.name, async (t) => {
    await t.test('name and size', async (each) => {
      const { source } = await open(each, implementation);
      each.equal(source.size, SIZE);
      each.ok(source.name.length > 0);
    });

    await t.test('exact bytes at every alignment', async (each) => {
      const { source } = await open(each, implementation);
      each.ok((await readExactly(source, 0, SIZE)).equals(PLAIN), 'all of it');
      let wrong = 0;
      const edges = [
        0,
        1,
        511,
        512,
        4095,
        4096,
        4097,
        65_535,
        65_536,
        262_144,
        700_000,
        SIZE - 4097,
      ];
      for (const offset of edges) {
        for (const length of [0, 1, 2, 511, 512, 513, 4096, 4097]) {
          const expected = PLAIN.subarray(offset, offset + length);
          if (!(await readExactly(source, offset, length)).equals(expected)) wrong++;
        }
      }
      for (let back = 1; back < 600; back += 7) {
        if (!(await readExactly(source, SIZE - back, back)).equals(PLAIN.subarray(SIZE - back)))
          wrong++;
      }
      each.equal(wrong, 0);
      each.equal((await readExactly(source, SIZE, 0)).length, 0, 'nothing, at the end');
    });

    await t.test('past the end is an error, and no neighbour is seen', async (each) => {
      const { source } = await open(each, implementation);
      for (const [offset, length] of [
        [SIZE, 1],
        [SIZE - 1, 2],
        [0, SIZE + 1],
        [2 ** 45, 512],
      ] as const) {
        each.throws(
          () => source.read(offset, length, Buffer.alloc(length), 0),
          { code: /^(SHORT_READ|BAD_DATA)$/ },
          `${length} at ${offset}`,
        );
      }
      each.ok(
        (await readExactly(source, SIZE - 5, 5)).equals(PLAIN.subarray(-5)),
        'and it goes on',
      );
    });

    await t.test('local: nothing to ensure', async (each) => {
      const { source } = await open(each, implementation);
      for (const [offset, length] of [
        [0, 0],
        [0, 1],
        [0, SIZE],
        [SIZE - 1, 1],
        [4095, 2],
        [SIZE, 0],
      ] as const) {
        each.equal(source.ensure(offset, length), null, `${length} at ${offset}`);
      }
    });

    await t.test('load brings the range near; after it a read does not wait', async (each) => {
      const { source } = await open(each, implementation);
      for (const [offset, length] of [
        [0, SIZE],
        [1000, 5000],
        [SIZE - 1, 1],
        [0, 0],
      ] as const) {
        await source.load(offset, length);
        const expected = PLAIN.subarray(offset, offset + length);
        each.ok(
          (await readExactly(source, offset, length)).equals(expected),
          `${length} at ${offset}`,
        );
      }
    });

    await t.test('readFully is read with all its waiting', async (each) => {
      const { source } = await open(each, implementation);
      each.ok((await readFully(source, 4000, 9000)).equals(PLAIN.subarray(4000, 13_000)));
      for (const [offset, length] of [
        [SIZE, 1],
        [-1, 1],
        [0, SIZE + 1],
      ] as const) {
        await each.rejects(readFully(source, offset, length), { code: 'SHORT_READ' });
      }
    });

    await t.test(
      'bytes that are gone are an error, and come back when the file does',
      async (each) => {
        const { source, truncate, repair } = await open(each, implementation);
        truncate(implementation.file.length - implementation.cut);
        await each.rejects(readExactly(source, SIZE - 1, 1), { code: 'SHORT_READ' });
        await each.rejects(readExactly(source, 0, SIZE), { code: 'SHORT_READ' });
        await each.rejects(source.load(SIZE - 1000, 1000), { code: 'SHORT_READ' });
        await each.rejects(source.load(0, SIZE), { code: 'SHORT_READ' });
        each.ok(
          (await readExactly(source, 0, 4096)).equals(PLAIN.subarray(0, 4096)),
          'the rest is readable',
        );
        truncate(0);
        await each.rejects(source.load(0, 10), { code: 'SHORT_READ' });
        await each.rejects(readExactly(source, 200_000, 10_000), OverlaybdError);
        repair();
        each.ok((await readExactly(source, 0, SIZE)).equals(PLAIN));
        each.ok((await readExactly(source, SIZE - 1, 1)).equals(PLAIN.subarray(-1)));
      },
    );
  });
}
