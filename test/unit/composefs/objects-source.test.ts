// Contents of a composefs image: objects are checked before they are read, once for each file, and closed again. The contract
// suite has the rest.
import {
  cpSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { test, type Test } from 'tap';
import { ObjectsSource, type ObjectsSpec } from '../../../daemon/composefs/objects-source.js';
import { OpenObjects } from '../../../daemon/composefs/open-objects.js';
import { openComposefs } from '../../../daemon/composefs/open.js';
import type { BlobSource } from '../../../daemon/blob/source.js';
import { loadAround, ReaderFactory } from '../../../daemon/image/disks/reader-factory.js';
import { UNBOUNDED } from '../../../daemon/lib/effort.js';
import { readLoaded } from '../../../daemon/lib/loaded.js';
import { DecodedCache } from '../../../daemon/pieces/decoded-cache.js';
import { PiecesSource } from '../../../daemon/pieces/pieces-source.js';
import {
  fsVerity,
  objectNameOf,
  objectXattrs,
  writeComposefs,
  type ImageFile,
} from '../../support/composefs-writer.js';
import { MemorySource } from '../../support/memory-source.js';
import { randomBytes } from '../../support/pattern.js';
import { writePieces } from '../../support/piece-writer.js';
import { until } from '../../support/until.js';

await loadAround();

/** Long ones stay open, short ones are kept in memory. */
const LONG = randomBytes(1, 200_000);
const SHORT = randomBytes(2, 5000);

interface World {
  store: string;
  image: MemorySource;
  spec: ObjectsSpec;
  /** Of each object. */
  paths: string[];
  /** Where it begins in the source. */
  places: number[];
}

async function world(t: Test, contents: readonly Buffer[] = [LONG, SHORT]): Promise<World> {
  const store = join(t.testdir(), 'store');
  const files: ImageFile[] = [
    { path: '', mode: 0o040755 },
    { path: 'd', mode: 0o040755 },
  ];
  const paths: string[] = [];
  for (const [i, bytes] of contents.entries()) {
    const digest = fsVerity(bytes);
    const name = objectNameOf(digest);
    const path = join(store, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, bytes);
    paths.push(path);
    const xattrs = objectXattrs(name, digest);
    files.push({ path: `d/f${i}`, mode: 0o100644, size: bytes.length, xattrs });
  }
  files.push({ path: 'small', mode: 0o100644, inline: 'in the image' });
  const image = new MemorySource(writeComposefs(files).bytes);
  const { objects, tree } = await openComposefs(image, store, UNBOUNDED);
  const entries = Array.from({ length: tree.count }, (_, i) => tree.entry(i));
  const places = [...contents.keys()].map(
    (i) => entries.find(({ path }) => path === `d/f${i}`)?.data[0]?.offset as number,
  );
  return { store, image, spec: objects, paths, places };
}

function sourceOf(
  { spec, image }: World,
  open = new OpenObjects(),
  cache = new DecodedCache(),
): ObjectsSource {
  return new ObjectsSource(spec, image, { cache, open });
}

async function read(source: BlobSource, offset: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  await readLoaded(source, offset, length, () => source.read(offset, length, bytes, 0));
  return bytes;
}

/** Descriptors of this process in a folder. */
function openIn(store: string): number {
  const paths = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(join('/proc/self/fd', fd));
    } catch {
      return ''; // the one that was listed
    }
  });
  return paths.filter((path) => path.startsWith(store)).length;
}

await test('objects and what is in the image', async (t) => {
  const here = await world(t);
  const source = sourceOf(here);
  const [long, short] = here.places as [number, number];
  t.same(await read(source, long, LONG.length), LONG);
  t.same(await read(source, short + 10, 100), SHORT.subarray(10, 110));
  const all = await read(source, 0, source.size);
  t.ok(all.includes('in the image'));
  t.same(all.subarray(long, long + LONG.length), LONG);
  // What lies after an object is zeros.
  const end = short + SHORT.length;
  t.ok(all.subarray(end, Math.ceil(end / 4096) * 4096).every((byte) => byte === 0));
});

await test('a wrong byte at the end of an object fails the read of its start', async (t) => {
  const here = await world(t);
  for (const [i, contents] of [LONG, SHORT].entries()) {
    const wrong = Buffer.from(contents);
    wrong[wrong.length - 1] = (wrong.at(-1) as number) ^ 1;
    writeFileSync(here.paths[i] as string, wrong);
    const cache = new DecodedCache();
    const source = sourceOf(here, undefined, cache);
    await t.rejects(read(source, here.places[i] as number, 1), {
      code: 'BAD_CHECKSUM',
      message: new RegExp(`^${here.paths[i]}: object .* got [0-9a-f]{64}; file "d/f${i}" of `),
    });
    t.same(cache.counts.posted(0).failures, [['composefs', 1]]);
    // It is repaired.
    writeFileSync(here.paths[i] as string, contents);
    t.same(await read(source, here.places[i] as number, 1), contents.subarray(0, 1));
  }
});

await test('another file in the place of a long object is checked again, in every thread', async (t) => {
  const here = await world(t);
  const [long] = here.places as [number];
  const [path] = here.paths as [string];
  t.same(await read(sourceOf(here), long, 1), LONG.subarray(0, 1));
  t.ok(here.spec.table.checked.some((mark) => mark !== 0n));
  // The next one trusts the mark: the file is the same.
  const other = sourceOf(here);
  t.same(await read(other, long, 1), LONG.subarray(0, 1));
  writeFileSync(`${path}.new`, Buffer.alloc(LONG.length));
  renameSync(`${path}.new`, path);
  await t.rejects(read(sourceOf(here), long, 1), { code: 'BAD_CHECKSUM' });
  t.same(await read(other, long, LONG.length), LONG, 'what is open is the old file');
});

await test('what is not the object', async (t) => {
  const cases: [
    what: string,
    damage: (path: string, store: string) => void,
    code: string,
    message: RegExp,
  ][] = [
    ['nothing', (path) => rmSync(path), 'NOT_FOUND', /no such file/],
    ['shorter', (path) => writeFileSync(path, 'x'), 'BAD_DATA', /expected \d+ bytes, got 1 bytes/],
    ['a folder', (path) => (rmSync(path), mkdirSync(path)), 'UNSUPPORTED', /a folder, not a file/],
    [
      'a symlink',
      (path) => (renameSync(path, `${path}.x`), symlinkSync(`${path}.x`, path)),
      'BAD_DATA',
      /a symlink that leads to .*\.x/,
    ],
    [
      'a folder that is a symlink',
      (path, store) => {
        cpSync(store, `${store}2`, { recursive: true });
        rmSync(dirname(path), { recursive: true });
        symlinkSync(join(`${store}2`, dirname(path).slice(store.length)), dirname(path));
      },
      'BAD_DATA',
      /a symlink that leads to .*store2/,
    ],
  ];
  for (const [what, damage, code, message] of cases) {
    await t.test(what, async (each) => {
      const here = await world(each);
      const [path] = here.paths as [string];
      const [long, short] = here.places as [number, number];
      damage(path, here.store);
      const source = sourceOf(here);
      await each.rejects(read(source, long, 1), { code, message });
      each.same(await read(source, short, SHORT.length), SHORT, 'the other one can be read');
    });
  }
});

await test('a bounded number of objects is open', async (t) => {
  const contents = Array.from({ length: 12 }, (_, i) => randomBytes(i, 70_000));
  const here = await world(t, contents);
  const source = sourceOf(here, new OpenObjects(3, 3_600_000));
  for (const [i, at] of here.places.entries()) {
    t.same(await read(source, at, 70_000), contents[i]);
    // They are closed in another thread.
    await until(() => openIn(here.store) <= 3);
  }
});

await test('no object is open for long', async (t) => {
  const contents = [randomBytes(1, 70_000), randomBytes(2, 70_000)];
  const here = await world(t, contents);
  const source = sourceOf(here, new OpenObjects(3, 50));
  for (const [i, at] of here.places.entries()) t.same(await read(source, at, 70_000), contents[i]);
  await until(() => openIn(here.store) === 0);
  t.same(await read(source, here.places[0] as number, 10), contents[0]?.subarray(0, 10));
  await until(() => openIn(here.store) === 0);
});

await test('objects are waited for outside the decoding of an image that is in pieces', async (t) => {
  const here = await world(t, [LONG, SHORT, randomBytes(3, 70_000), randomBytes(4, 80_000)]);
  const readers = new ReaderFactory();
  const { cache } = readers.pieceTools();
  const written = writePieces(here.image.bytes, { codec: 'gzip', pieceSize: 4096 });
  const image = new PiecesSource(
    written.around,
    new MemorySource(written.blob),
    readers.pieceTools(),
  );
  const source = new ObjectsSource(here.spec, image, { cache, open: new OpenObjects() });
  for (const path of here.paths) rmSync(path);
  // The errors have names of files, which are in the pieces.
  const error = { code: 'NOT_FOUND', message: /file "d\/f\d" of / };
  await Promise.all(here.places.map((at) => t.rejects(read(source, at, 1), error)));
});
