// The contract suite for every kind of source: files, slices of files and of other sources, members of tars, ZFiles of
// each kind, pieces, gzip from the middle, memory.
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import tap from 'tap';
import { ObjectTableBuilder } from '../../daemon/composefs/object-table.js';
import { EdgeSource } from '../../daemon/blob/edge-source.js';
import { SliceSource } from '../../daemon/blob/slice-source.js';
import { loadAround, ReaderFactory } from '../../daemon/image/disks/reader-factory.js';
import { fileOf, sliceOf, type SourceSpec } from '../../daemon/image/disks/spec.js';
import { indexGzip } from '../../daemon/inflate/index-gzip.js';
import { UNBOUNDED } from '../../daemon/lib/effort.js';
import { DecodedCache, DecodedMember } from '../../daemon/pieces/decoded-cache.js';
import { packTable } from '../../daemon/pieces/packed-table.js';
import { PiecesSource } from '../../daemon/pieces/pieces-source.js';
import { fsVerity, objectNameOf } from '../support/composefs-writer.js';
import { MemorySource } from '../support/memory-source.js';
import { randomBytes } from '../support/pattern.js';
import { writePieces, type PieceOptions } from '../support/piece-writer.js';
import { wrapTar } from '../support/tar-writer.js';
import { unwrapped } from '../support/unwrapped.js';
import { writeZfile, type ZfileOptions } from '../support/zfile-writer.js';
import { PLAIN, blobSourceSuite } from './blob-source-suite.js';
import { storedFile } from './stored-file.js';

await loadAround();

// Many suites: on a busy machine tap's 30 seconds a file are too short.
tap.setTimeout(300_000);

const SIZE = PLAIN.length;
const inFile = Buffer.concat([randomBytes(8, 777), PLAIN, randomBytes(9, 999)]);

const inside = async (file: SourceSpec): Promise<SourceSpec> => (await unwrapped(file)).spec;

const zfiles: [string, ZfileOptions][] = [
  ['lz4 zfile', { algorithm: 'lz4' }],
  ['zstd zfile', { algorithm: 'zstd', mode: 'trailer' }],
  ['lz4 zfile without checksums', { algorithm: 'lz4', verify: false, blockSize: 512 }],
  ['zstd zfile without checksums', { algorithm: 'zstd', verify: false, blockSize: 65_536 }],
];

await blobSourceSuite('memory', () => ({ source: new MemorySource(PLAIN) }));

await blobSourceSuite('shared memory', () => {
  const memory = new SharedArrayBuffer(SIZE);
  Buffer.from(memory).set(PLAIN);
  return { source: new ReaderFactory().source({ kind: 'memory', name: 'metadata', memory }) };
});

await blobSourceSuite('file', storedFile({ bytes: PLAIN, cut: 1, of: (file) => file }));

await blobSourceSuite(
  'slice of a file',
  storedFile({ bytes: inFile, cut: 1000, of: (file) => sliceOf(file, 777, SIZE, 'a slice') }),
);

await blobSourceSuite(
  'slice of a slice of a file',
  storedFile({
    bytes: inFile,
    cut: 1000,
    of: (file) => sliceOf(sliceOf(file, 700, SIZE + 200, 'outer'), 77, SIZE, 'inner'),
  }),
);

await blobSourceSuite(
  'slice of any other source',
  storedFile({
    bytes: inFile,
    cut: 1000,
    of: (file) =>
      new SliceSource(
        { kind: 'slice', name: 'a slice', offset: 777, size: SIZE },
        new ReaderFactory().source(file),
      ),
  }),
);

await blobSourceSuite('edges of a file in memory', async (t) => {
  const { source, loss } = await storedFile({ bytes: PLAIN, cut: 1, of: (file) => file })(t);
  const edges = new EdgeSource(source);
  await edges.edges();
  // Bytes in memory cannot be lost; otherwise it is like any other source.
  const forget = (lose: (() => void) | undefined) => (): void => {
    edges.forget();
    lose?.();
  };
  return {
    source: edges,
    loss: {
      cut: forget(loss?.cut),
      all: forget(loss?.all),
      repair: forget(loss?.repair),
    },
  };
});

await blobSourceSuite(
  'tar member',
  storedFile({ bytes: wrapTar(PLAIN, { pax: true }), cut: 2048, of: inside }),
);

for (const [name, options] of zfiles) {
  const blocks = Math.ceil(SIZE / (options.blockSize ?? 4096));
  const bytes = writeZfile(PLAIN, options);
  await blobSourceSuite(name, storedFile({ bytes, cut: 512 + 4 * blocks + 1, of: inside }));
}

await blobSourceSuite(
  'lz4 zfile in a tar',
  storedFile({
    bytes: wrapTar(writeZfile(PLAIN, { blockSize: 32_768 }), { pax: false }),
    cut: 1024 + 512 + 512 + 4 * 35,
    of: inside,
  }),
);

const pieces: [string, PieceOptions][] = [
  ['gzip members', { codec: 'gzip', pieceSize: 997, tail: 700 }],
  ['gzip members, packed table', { codec: 'gzip', pieceSize: 1024, tail: 700 }],
  ['pieces that share gzip members', { codec: 'gzip', pieceSize: 300, perMember: 3 }],
  ['zstd frames with more', { codec: 'zstd', pieceSize: 500, tail: 300, isOneFrame: true }],
  ['zstd frames, zeros', { codec: 'zstd', pieceSize: 1000, tail: 700, zeros: true }],
  ['LZ4 blocks, BLAKE3', { codec: 'lz4', pieceSize: 800, hash: 'blake3' }],
  ['plain pieces', { codec: 'stored', pieceSize: 1111 }],
  ['gzip members without digests', { codec: 'gzip', pieceSize: 900, digests: false }],
];

const written = pieces.map(([name, options]) => ({ name, ...writePieces(PLAIN, options) }));
// Small blocks, which begin at any bit.
for (const [name, bytes] of [
  ['gzip, from the middle', gzipSync(PLAIN, { memLevel: 1 })],
  [
    'gzip of two members',
    Buffer.concat(
      [PLAIN.subarray(0, 5000), PLAIN.subarray(5000)].map((each) =>
        gzipSync(each, { memLevel: 1 }),
      ),
    ),
  ],
] as const) {
  const table = await indexGzip(new MemorySource(bytes), UNBOUNDED, () => undefined, 1000);
  written.push({ name, blob: bytes, around: { kind: 'pieces', name, table } });
}

for (const { name, blob, around } of written) {
  const table = { ...packTable(around.table), size: SIZE };
  await blobSourceSuite(name, async (t) => {
    const readers = new ReaderFactory();
    const cache = new DecodedCache(null, 2 * SIZE);
    const { source, loss } = await storedFile({
      bytes: blob,
      cut: 1,
      of: (file) =>
        new PiecesSource({ ...around, table }, readers.source(file), {
          cache,
          zstd: () => readers.zstdDecoders(),
          lz4: () => readers.decoder('lz4'),
        }),
    })(t);
    // What was decoded is in memory, which cannot be lost.
    const others = new Map<number, DecodedMember>();
    const forget = (lose: (() => void) | undefined) => (): void => {
      for (let i = 0; i < 5; i++) {
        cache.add(new DecodedMember(Buffer.alloc(2 * SIZE), new Map(), others, i));
      }
      lose?.();
    };
    return {
      source,
      loss: {
        cut: forget(loss?.cut),
        all: forget(loss?.all),
        repair: forget(loss?.repair),
      },
    };
  });
}

await blobSourceSuite('objects of a store, and pieces of an image', async (t) => {
  const [first, long, short] = [131_072, 600 * 1024, 40_960];
  const rest = first + long + short;
  let longPath = '';
  const bytes = Buffer.concat([PLAIN.subarray(0, first), PLAIN.subarray(rest)]);
  const of = (image: SourceSpec): SourceSpec => {
    const store = join(dirname(fileOf(image)?.name as string), 'store');
    const builder = new ObjectTableBuilder('image', () => undefined);
    const place = { folder: 0, nameAt: 0, nameLength: 1 };
    const addObject = (begin: number, size: number): string => {
      const contents = PLAIN.subarray(begin, begin + size);
      const digest = fsVerity(contents);
      const name = objectNameOf(digest);
      builder.addObject({ name, size, digest }, place);
      const path = join(store, name);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, contents);
      return path;
    };
    builder.addFolder(place);
    builder.addInImage([{ offset: 0, length: first }], place);
    longPath = addObject(first, long);
    addObject(first + long, short);
    builder.addInImage([{ offset: first, length: SIZE - rest }], place);
    const table = { ...builder.finish(), size: SIZE };
    return { kind: 'objects', name: 'image', table, store, of: image };
  };
  const { source, loss } = await storedFile({ bytes, cut: 1, of })(t);
  return {
    source,
    loss: {
      cut: () => loss?.cut(),
      all: () => {
        loss?.all();
        truncateSync(longPath);
      },
      repair: () => {
        loss?.repair();
        writeFileSync(longPath, PLAIN.subarray(first, first + long), { flag: 'r+' });
      },
    },
  };
});
