// The cache on disks that take nothing: full, read-only, no files of this size, gone. Reads go on.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test, type Test } from 'tap';
import { CachedSource } from '../../../daemon/blob/cached-source.js';
import { CHUNK_SIZE } from '../../../daemon/blob/chunk-map.js';
import { readFully } from '../../../daemon/blob/source.js';
import { files } from '../../../daemon/native/file.js';
import { BufferFetcher, openStore, refOf, silentLog } from '../../support/cached-blobs.js';
import { randomBytes } from '../../support/pattern.js';
import { smallDisk } from '../../support/small-disk.js';
import { findTool } from '../../support/tools.js';

const CONTENT = randomBytes(31, 40 * CHUNK_SIZE);
const SMALL_DISK = 1 << 20;

await test('a disk that becomes full', async (t) => {
  const disk = smallDisk(t, SMALL_DISK);
  if (disk === null) {
    t.pass('SKIPPED: this user may not mount a file system', { skip: true });
    return;
  }
  const lines: string[] = [];
  const store = await openStore(t, { cacheFolder: disk }, silentLog(lines));
  const blob = await store.blob(refOf(CONTENT));
  const source = new CachedSource(blob.spec, new BufferFetcher(blob, CONTENT));
  t.ok((await readFully(source, 0, CONTENT.length)).equals(CONTENT));
  t.match(store.status().degraded, /ENOSPC/);
  t.ok(blob.map.hasSlots);
  t.ok((await readFully(source, 0, CONTENT.length)).equals(CONTENT), 'again, from both');
  t.equal(lines.filter((line) => line.includes('ENOSPC')).length, 1, 'one line, not one a chunk');
  t.ok(store.status().writeErrors >= 1);
  await store.manifests.put(refOf(CONTENT).digest, CONTENT.subarray(0, 10));
  await store.manifests.setTag('r.test', 'app', 'latest', refOf(CONTENT).digest);
  t.match(await store.manifests.tag('r.test', 'app', 'latest'), { digest: refOf(CONTENT).digest });
  blob.release();

  const other = await store.blob(refOf(randomBytes(32, 3 * CHUNK_SIZE)));
  const small = randomBytes(32, 3 * CHUNK_SIZE);
  const reader = new CachedSource(other.spec, new BufferFetcher(other, small));
  t.ok((await readFully(reader, 0, small.length)).equals(small), 'opened on a full disk');
});

await test('a disk that is read-only', async (t) => {
  const disk = smallDisk(t, SMALL_DISK);
  if (disk === null || spawnSync('mount', ['-o', 'remount,ro', disk]).status !== 0) {
    t.pass('SKIPPED: this user may not mount a file system', { skip: true });
    return;
  }
  const store = await openStore(t, { cacheFolder: join(disk, 'cache') });
  t.match(store.status().degraded, /EROFS/);
  t.equal(store.status().folder, null);
  const blob = await store.blob(refOf(CONTENT));
  const source = new CachedSource(blob.spec, new BufferFetcher(blob, CONTENT));
  t.ok((await readFully(source, 0, CONTENT.length)).equals(CONTENT));
  t.same(await store.list(), []);
  t.same(await store.verify(), []);
  t.same(await store.gc(), { freedBytes: 0, blobs: 0, records: 0 });
});

function run(command: string, ...args: string[]): boolean {
  return spawnSync(command, args, { timeout: 120_000 }).status === 0;
}

/** A file system on which writes wait from `freeze` on. @returns null if this user cannot make one */
function freezableDisk(t: Test): { path: string; freeze: () => void; thaw: () => void } | null {
  const folder = mkdtempSync(join(tmpdir(), 'frozen-disk-'));
  const path = join(folder, 'disk');
  const image = join(folder, 'image');
  mkdirSync(path, { mode: 0o700 });
  writeFileSync(image, '');
  truncateSync(image, 32 << 20);
  const isMade = run('mkfs.ext4', '-q', '-F', image) && run('mount', '-o', 'loop', image, path);
  const thaw = (): void => void run('fsfreeze', '-u', path);
  t.teardown(() => {
    if (isMade) {
      thaw();
      run('umount', '--lazy', path);
    }
    rmSync(folder, { recursive: true });
  });
  const freeze = (): void => void run('fsfreeze', '-f', path);
  return isMade && findTool('fsfreeze') !== null ? { path, freeze, thaw } : null;
}

await test('a disk that does not answer any more', async (t) => {
  const disk = freezableDisk(t);
  if (!disk) {
    t.pass('SKIPPED: no file system that can be frozen', { skip: true });
    return;
  }
  const before = files.deadline();
  files.deadline(300);
  t.teardown(() => files.deadline(before));
  const store = await openStore(t, { cacheFolder: disk.path });
  const blob = await store.blob(refOf(CONTENT));
  const fetcher = new BufferFetcher(blob, CONTENT);
  await fetcher.want(0, 0, 3);
  disk.freeze();
  const source = new CachedSource(blob.spec, fetcher);
  t.ok((await readFully(source, 0, CONTENT.length)).equals(CONTENT));
  t.match(store.status().degraded, /ETIMEDOUT/);
  t.equal(store.status().writeErrors, 1, 'one write has waited');
  const other = await store.blob(refOf(CONTENT.subarray(1)));
  const reader = new CachedSource(other.spec, new BufferFetcher(other, CONTENT.subarray(1)));
  t.ok((await readFully(reader, 0, 100_000)).equals(CONTENT.subarray(1, 100_001)));
  t.equal(other.spec.fd, other.spec.slotsFd, 'it did not wait for the disk');
  disk.thaw();
  other.release();
  blob.release();
});

await test('a file in the place of the folder', async (t) => {
  const path = join(t.testdir(), 'cache');
  writeFileSync(path, 'not a folder');
  const store = await openStore(t, { cacheFolder: path });
  t.match(store.status().degraded, /ENOTDIR/);
  const blob = await store.blob(refOf(CONTENT));
  const source = new CachedSource(blob.spec, new BufferFetcher(blob, CONTENT));
  t.ok((await readFully(source, 1000, 5000)).equals(CONTENT.subarray(1000, 6000)));
});

await test('no files of this size are allowed', (t) => {
  const script = fileURLToPath(new URL('../../support/cache-writer.js', import.meta.url));
  // The limit is above that of the memory of the cache, which is a file, too.
  const limitKib = 33 << 10;
  const command = `ulimit -f ${limitKib}; exec node "$@"`;
  const args = [script, t.testdir(), 31, 34 << 20, 1, 10].map(String);
  const { status, stderr } = spawnSync('bash', ['-c', command, 'bash', ...args], {
    encoding: 'utf8',
    timeout: 120_000,
  });
  t.equal(status, 0, stderr);
  t.match(stderr, /EFBIG .*; fetched chunks are kept in memory only, and reads go on/);
  t.end();
});

await test('a folder that is removed under the daemon', async (t) => {
  const folder = join(t.testdir(), 'cache');
  const store = await openStore(t, { cacheFolder: folder });
  const blob = await store.blob(refOf(CONTENT));
  const fetcher = new BufferFetcher(blob, CONTENT);
  await fetcher.want(0, 0, 5);
  spawnSync('rm', ['-rf', folder]);
  const source = new CachedSource(blob.spec, fetcher);
  t.ok((await readFully(source, 0, CONTENT.length)).equals(CONTENT));
  const other = await store.blob(refOf(CONTENT.subarray(1)));
  const reader = new CachedSource(other.spec, new BufferFetcher(other, CONTENT.subarray(1)));
  t.ok((await readFully(reader, 0, 100_000)).equals(CONTENT.subarray(1, 100_001)));
});
