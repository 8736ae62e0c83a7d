// The pool of open blobs: one descriptor, one jump table and one read of the edges for each, closed by the last user.
import { closeSync, fstatSync, linkSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { test } from 'tap';
import { fileRef } from '../../../../daemon/blob/blob-ref.js';
import { CHUNK_SIZE, ChunkMap } from '../../../../daemon/blob/chunk-map.js';
import { readFully } from '../../../../daemon/blob/source.js';
import {
  BlobPool,
  type BlobParts,
  type PooledBlob,
} from '../../../../daemon/image/plan/blob-pool.js';
import { ReaderFactory } from '../../../../daemon/image/disks/reader-factory.js';
import { fileOf } from '../../../../daemon/image/disks/spec.js';
import { UNBOUNDED } from '../../../../daemon/lib/effort.js';
import type { RemoteImages } from '../../../../daemon/registry/remote.js';
import { MemorySource } from '../../../support/memory-source.js';
import { randomBytes, textBytes } from '../../../support/pattern.js';
import { writeZfile } from '../../../support/zfile-writer.js';

const ZFILE = writeZfile(textBytes(1, 10_000));

const newPool = (): BlobPool => new BlobPool(new ReaderFactory());
const fdOf = ({ raw }: { raw: PooledBlob['raw'] }): number => fileOf(raw)?.fd ?? -1;
const sizeOf = async (blob: PooledBlob): Promise<number> =>
  (await blob.content(UNBOUNDED)).source.size;

const isOpen = (fd: number): boolean => {
  try {
    fstatSync(fd);
    return true;
  } catch {
    return false;
  }
};

/** Threads of the addon close files without being waited for. */
async function isClosed(fd: number): Promise<boolean> {
  for (let tries = 0; isOpen(fd) && tries < 1000; tries++) await pause(10);
  return !isOpen(fd);
}

/** The form in which one thread sends a blob to another. */
async function partsOf(blob: PooledBlob): Promise<BlobParts> {
  const { spec } = await blob.content(UNBOUNDED);
  return { ref: blob.ref, key: blob.key, raw: blob.raw, spec };
}

await test('a file is opened once, also at the same time and by other names', async (t) => {
  const folder = t.testdir();
  const [path, other] = [join(folder, 'blob'), join(folder, 'link')];
  writeFileSync(path, ZFILE);
  linkSync(path, other);
  const pool = newPool();
  const [a, b] = await Promise.all([pool.open(fileRef(path)), pool.open(fileRef(path))]);
  const c = await pool.open(fileRef(other));
  t.equal(fdOf(a), fdOf(b));
  t.equal(fdOf(a), fdOf(c));
  t.equal((await a.content(UNBOUNDED)).spec, (await c.content(UNBOUNDED)).spec);
  a.release();
  a.release();
  b.release();
  t.ok(isOpen(fdOf(c)), 'releasing twice counts once');
  c.release();
  t.ok(await isClosed(fdOf(c)));
});

await test('after the last release the file is opened again', async (t) => {
  const path = join(t.testdir(), 'blob');
  writeFileSync(path, textBytes(1, 1000));
  const pool = newPool();
  const first = await pool.open(fileRef(path));
  first.release();
  const second = await pool.open(fileRef(path));
  t.not(second.raw, first.raw);
  first.release();
  t.ok(isOpen(fdOf(second)), 'an earlier user cannot close it');
  second.release();
});

await test('a file that was replaced is another blob', async (t) => {
  const path = join(t.testdir(), 'blob');
  writeFileSync(path, 'one');
  const pool = newPool();
  const first = await pool.open(fileRef(path));
  writeFileSync(path, 'another');
  const second = await pool.open(fileRef(path));
  t.not(fdOf(second), fdOf(first));
  t.equal(second.size, 7);
  t.equal((await second.read(1, 3)).toString(), 'not');
  first.release();
  second.release();
});

await test('a broken file fails for every user, and is tried again', async (t) => {
  const path = join(t.testdir(), 'blob');
  writeFileSync(path, writeZfile(textBytes(1, 10_000), { header: { digest: 1 } }));
  const pool = newPool();
  const [a, b] = await Promise.all([pool.open(fileRef(path)), pool.open(fileRef(path))]);
  const results = await Promise.allSettled([a, b].map((each) => each.content(UNBOUNDED)));
  t.ok(results.every(({ status }) => status === 'rejected'));
  const sections: string[] = [];
  await a.content(UNBOUNDED, ({ section }) => void sections.push(section));
  t.same(sections, ['zfile header digest'], 'problems that leave it readable may pass');
  t.equal(await sizeOf(b), 10_000);
  a.release();
  b.release();
});

await test('edges are read once, until all holders have dropped them', async (t) => {
  const path = join(t.testdir(), 'blob');
  writeFileSync(path, textBytes(1, 500_000));
  const pool = newPool();
  const [a, b] = await Promise.all([pool.open(fileRef(path)), pool.open(fileRef(path))]);
  const [first, second] = await Promise.all([a.edges(), b.edges()]);
  t.equal(first, second);
  b.forgetEdges();
  b.forgetEdges();
  t.equal(await a.edges(), first, 'the other holder needs them');
  a.forgetEdges();
  const again = await a.edges();
  t.not(again, first, 'read again');
  t.ok(again.head.equals(first.head));
  a.release();
  b.release();
});

await test('a blob from another thread is adopted, or closed if there is one', async (t) => {
  const path = join(t.testdir(), 'blob');
  writeFileSync(path, ZFILE);
  const descriptors: string[] = [];
  const theirs = new BlobPool(new ReaderFactory(), undefined, {
    opened: (fd) => void descriptors.push(`+${fd}`),
    closed: (fd) => void descriptors.push(`-${fd}`),
  });
  const pool = newPool();
  const opened = await theirs.open(fileRef(path));
  const mine = pool.adopt(await partsOf(opened));
  t.equal(fdOf(mine), fdOf(opened));
  t.equal(await sizeOf(mine), 10_000);
  const again = await newPool().open(fileRef(path));
  const dropped = pool.adopt(await partsOf(again));
  t.equal(fdOf(dropped), fdOf(mine));
  t.ok(await isClosed(fdOf(again)));
  mine.release();
  t.ok(isOpen(fdOf(dropped)));
  dropped.release();
  t.ok(await isClosed(fdOf(opened)));
  t.same(descriptors, [`+${fdOf(opened)}`], 'the new owner closes it');
});

await test('a blob from another thread replaces one that is not parsed yet', async (t) => {
  const path = join(t.testdir(), 'blob');
  writeFileSync(path, ZFILE);
  const pool = newPool();
  const here = await pool.open(fileRef(path));
  const taken = pool.adopt(await partsOf(await newPool().open(fileRef(path))));
  t.not(fdOf(taken), fdOf(here));
  const third = await pool.open(fileRef(path));
  t.equal(fdOf(third), fdOf(taken), 'from now on it is the shared one');
  here.release();
  t.ok(isOpen(fdOf(third)));
  t.ok(await isClosed(fdOf(here)));
  taken.release();
  third.release();
  t.ok(await isClosed(fdOf(third)));
});

await test('a blob from another thread replaces one with which an image is still opened', async (t) => {
  const path = join(t.testdir(), 'blob');
  writeFileSync(path, ZFILE);
  const pool = newPool();
  const here = await pool.open(fileRef(path));
  t.equal(await sizeOf(here), 10_000, 'parsed, and perhaps by wrong bytes');
  const taken = pool.adopt(await partsOf(await newPool().open(fileRef(path))));
  t.not(fdOf(taken), fdOf(here));
  here.release();
  const image = await pool.open(fileRef(path));
  image.forgetEdges();
  const shared = pool.adopt(await partsOf(await newPool().open(fileRef(path))));
  t.equal(fdOf(shared), fdOf(image), 'its image is open');
  for (const blob of [taken, image, shared]) blob.release();
});

await test('a plain file is not parsed', async (t) => {
  const path = join(t.testdir(), 'blob');
  writeFileSync(path, ZFILE);
  const pool = newPool();
  const plain = await pool.open(fileRef(path), true);
  t.equal(await sizeOf(plain), ZFILE.length);
  const inside = await pool.open(fileRef(path));
  t.equal(await sizeOf(inside), 10_000);
  plain.release();
  inside.release();
});

await test("one image's limit does not fail another that uses the same file", async (t) => {
  const path = join(t.testdir(), 'blob');
  writeFileSync(path, ZFILE);
  const pool = newPool();
  const limited = {
    ...UNBOUNDED,
    keep: () => {
      throw new Error('too much');
    },
  };
  const [a, b] = await Promise.all([pool.open(fileRef(path)), pool.open(fileRef(path))]);
  const [first, second] = await Promise.allSettled([a.content(limited), b.content(UNBOUNDED)]);
  t.match(first, { status: 'rejected', reason: { message: 'too much' } });
  if (second.status === 'rejected') throw second.reason;
  t.equal(second.value.source.size, 10_000);
  a.release();
  b.release();
});

await test('what is opened again has nothing that was read before', async (t) => {
  const path = join(t.testdir(), 'blob');
  writeFileSync(path, ZFILE);
  const pool = newPool();
  const blob = await pool.open(fileRef(path));
  const other = await pool.open(fileRef(path));
  const before = await blob.content(UNBOUNDED);
  const fd = openSync(path, 'r+');
  const plain = textBytes(2, ZFILE.length);
  writeSync(fd, plain, 0, plain.length, 0);
  closeSync(fd);
  t.equal(await blob.content(UNBOUNDED), before);
  const after = await blob.reopen(UNBOUNDED);
  t.equal(after.zfile, null);
  t.ok((await readFully(after.source, 0, plain.length)).equals(plain));
  t.equal(await other.content(UNBOUNDED), after);
  blob.release();
  other.release();
});

await test('what was read of a blob of a registry can be fetched again', async (t) => {
  const right = randomBytes(1, 300_000);
  const bytes = Buffer.from(right);
  bytes[0] = 255 - (right[0] as number);
  const { state } = ChunkMap.create(bytes.length);
  const about = {
    name: 'blob',
    digest: 'sha256:1',
    size: bytes.length,
    blob: 7,
    fd: -1,
    slotsFd: -1,
  };
  const fetched: { number: number; runs: readonly number[][] }[] = [];
  let mayHelp = false;
  const remote = {
    open: () => Promise.resolve({ kind: 'cached', ...about, state }),
    doubt: (number: number, runs: readonly number[][]) => {
      fetched.push({ number, runs });
      if (mayHelp) right.copy(bytes);
      return Promise.resolve(mayHelp);
    },
    close: () => undefined,
  } as unknown as RemoteImages;
  const readers = new ReaderFactory();
  readers.source = () => new MemorySource(bytes);
  const pool = new BlobPool(readers, () => remote);
  const { digest, size } = about;
  const ref = { kind: 'registry', host: 'a', repository: 'b', digest, size } as const;
  const blob = await pool.open(ref, true);
  t.equal(await blob.refetch(), false, 'nothing was read');
  t.not((await blob.read(0, 1))[0], right[0]);
  await blob.read(bytes.length - 1, 1);
  const content = await blob.content(UNBOUNDED);
  const { source } = content;
  t.equal(await blob.refetch(), false);
  t.equal(await blob.content(UNBOUNDED), content, 'it is what it was');
  mayHelp = true;
  t.equal(await blob.refetch(), true);
  const last = Math.ceil(size / CHUNK_SIZE) - 1;
  const doubt = {
    number: 7,
    runs: [
      [0, 0],
      [last, last],
    ],
  };
  t.same(fetched, [doubt, doubt]);
  t.same(await readFully(source, 0, 4), right.subarray(0, 4));
  blob.forgetEdges();
  t.equal(await blob.refetch(), false, 'an image is open, and nothing of it is doubted');
  blob.release();
  const path = join(t.testdir(), 'blob');
  writeFileSync(path, right);
  const local = await pool.open(fileRef(path), true);
  await local.read(0, 1);
  t.equal(await local.refetch(), false, 'files on this machine are what they are');
  local.release();
});
