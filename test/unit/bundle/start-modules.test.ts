// What the daemon loads to serve an image of LSMT layers: of the rooms that only layers of files and registries need, no
// more than the files below. All else is imported when it is needed, so that a start does not pay for it.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'tap';
import { moduleOf } from '../../walls/modules.js';

const DAEMON = fileURLToPath(new URL('../../../daemon/', import.meta.url));
const ROOMS = [
  'composefs',
  'erofs',
  'estargz',
  'files',
  'inflate',
  'inspect',
  'pieces',
  'rafs',
  'registry',
  'soci',
  'tarball',
  'tarfs',
  'tree',
  'turbo',
];
const ASYNC_IMPORT = /\bimport\s*\(/g;

/** The modules that are loaded with these: what they import, and so on, without what import() loads later. */
function loadedWith(entries: readonly string[]): Set<string> {
  const loaded = new Set<string>();
  const waiting = [...entries];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (loaded.has(path)) continue;
    loaded.add(path);
    const text = readFileSync(join(DAEMON, path), 'utf8').replaceAll(ASYNC_IMPORT, 'later(');
    for (const { target } of moduleOf(path, text).imports) {
      if (target !== null) waiting.push(target.replace(/\.ts$/, '.js'));
    }
  }
  return loaded;
}

function ofRooms(loaded: Iterable<string>): string[] {
  return [...loaded].filter((path) => ROOMS.some((room) => path.startsWith(`${room}/`))).toSorted();
}

await test('a reactor', (t) => {
  const loaded = loadedWith(['reactor/worker.js']);
  t.ok(loaded.has('image/disks/lsmt-disk.js'));
  t.same(ofRooms(loaded), ['registry/remote.js']);
  t.end();
});

await test('the main thread', (t) => {
  const loaded = loadedWith([
    'main.js',
    'cli/serve.js',
    'server/daemon.js',
    'server/operation.js',
    'server/control-point.js',
    'devices/manager.js',
    'devices/record.js',
    'control/server.js',
    'kernel/auto-driver.js',
    'kernel/sysfs.js',
    'log/winston-logger.js',
  ]);
  t.ok(loaded.has('lsmt/build-index.js'));
  t.same(ofRooms(loaded), [
    'erofs/format.js',
    'pieces/decode-counts.js',
    'pieces/limits.js',
    'pieces/shared-members.js',
    'rafs/signs.js',
    'registry/blob-head.js',
    'registry/digest.js',
    'registry/reference.js',
    'registry/remote.js',
    'registry/repo-blob-url.js',
    'soci/limits.js',
    'tarball/header.js',
    'tarball/place.js',
    'tarfs/signs.js',
  ]);
  t.end();
});
