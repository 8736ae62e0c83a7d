// Things that have the names of files of the cache and are none: they are not followed, they go, and the cache goes on.
import { spawnSync } from 'node:child_process';
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test, type Test } from 'tap';
import { CachedSource } from '../../../daemon/blob/cached-source.js';
import { CHUNK_SIZE } from '../../../daemon/blob/chunk-map.js';
import { readFully } from '../../../daemon/blob/source.js';
import { CacheFolder } from '../../../daemon/cache/folder.js';
import { shortFolder } from '../../support/daemon-process.js';
import { BufferFetcher, openStore, refOf, silentLog } from '../../support/cached-blobs.js';
import { randomBytes } from '../../support/pattern.js';

const CONTENT = randomBytes(41, 5 * CHUNK_SIZE + 100);
const REF = refOf(CONTENT);
const DIGITS = REF.digest.slice('sha256:'.length);

/** Puts something in the place of a path. @param victim a file that must stay as it is */
const THINGS: Readonly<Record<string, (path: string, victim: string) => void | Promise<void>>> = {
  'a link to a file': (path, victim) => symlinkSync(victim, path),
  'a link to nothing': (path) => symlinkSync('/nowhere/at/all', path),
  'a link to itself': (path) => symlinkSync(path, path),
  'a pipe': (path) => void spawnSync('mkfifo', [path]),
  'a folder': (path) => mkdirSync(path),
  'a socket': (path) =>
    new Promise((resolve) => {
      // Its own path has to be short.
      const short = join(mkdtempSync(join(tmpdir(), 'obd-')), 's');
      const server = createServer().listen(short, () => {
        server.unref();
        renameSync(short, path);
        rmSync(dirname(short), { recursive: true });
        resolve();
      });
    }),
};

/** Reads all of the blob in a store of its own. @returns its log, and whether the blob is in files */
async function readAll(t: Test, folder: string): Promise<{ lines: string[]; isKept: boolean }> {
  const lines: string[] = [];
  const store = await openStore(t, { cacheFolder: folder }, silentLog(lines));
  const blob = await store.blob(REF);
  const source = new CachedSource(blob.spec, new BufferFetcher(blob, CONTENT));
  t.ok((await readFully(source, 0, CONTENT.length)).equals(CONTENT));
  t.equal(store.status().degraded, null);
  const isKept = blob.spec.fd !== blob.spec.slotsFd && !blob.map.hasSlots;
  blob.release();
  return { lines, isKept };
}

for (const [what, put] of Object.entries(THINGS)) {
  for (const place of ['data', 'state', 'blob', 'lock'] as const) {
    await test(`${what} in the place of the ${place}`, async (t) => {
      const folder = shortFolder(t);
      const victim = join(shortFolder(t), 'victim');
      writeFileSync(victim, CONTENT);
      await readAll(t, folder);
      const paths = new CacheFolder(folder);
      const shelf = paths.shelf(DIGITS);
      const names = readdirSync(shelf);
      const nameOf = { data: /\.data$/, state: /\.state$/ };
      const path =
        place === 'lock'
          ? paths.lock
          : place === 'blob'
            ? paths.complete(DIGITS)
            : join(shelf, names.find((name) => nameOf[place].test(name)) ?? 'none');
      rmSync(path, { force: true });
      await put(path, victim);
      t.notOk(lstatSync(path).isFile());
      const { lines, isKept } = await readAll(t, folder);
      t.ok(isKept, 'the cache goes on');
      t.equal(lines.length, 1);
      t.match(lines[0], /^cache: .*: it was not a regular file, and was removed/);
      t.match(lines[0], path);
      const left = readdirSync(shelf);
      t.ok(left.every((name) => lstatSync(join(shelf, name)).isFile()));
      t.ok(lstatSync(paths.lock).isFile());
      t.ok(readFileSync(victim).equals(CONTENT), 'nothing was written through it');
      t.same((await readAll(t, folder)).lines, [], 'once');
    });
  }
}

await test('a folder that is not empty stays, and reads go on from memory', async (t) => {
  const folder = shortFolder(t);
  await readAll(t, folder);
  const path = new CacheFolder(folder).complete(DIGITS);
  mkdirSync(join(path, 'x'), { recursive: true });
  const lines: string[] = [];
  const store = await openStore(t, { cacheFolder: folder }, silentLog(lines));
  const blob = await store.blob(REF);
  const source = new CachedSource(blob.spec, new BufferFetcher(blob, CONTENT));
  t.ok((await readFully(source, 0, CONTENT.length)).equals(CONTENT));
  t.match(store.status().degraded, /ENOTEMPTY/);
  t.equal(lines.length, 1);
  t.ok(lstatSync(join(path, 'x')).isDirectory());
  blob.release();
});
