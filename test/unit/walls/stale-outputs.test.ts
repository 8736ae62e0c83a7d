// Build outputs without a source are removed.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { removeStaleOutputs } from '../../walls/stale-outputs.js';

await test('outputs whose source is gone are removed', (t) => {
  const root = t.testdir({
    daemon: { 'kept.ts': '', nbd: { 'kept.ts': '' } },
    test: { unit: { 'kept.test.ts': '' } },
    out: {
      bundle: { 'main.js': '' },
      daemon: {
        'kept.js': '',
        'kept.js.map': '',
        'gone.js': '',
        'gone.js.map': '',
        'notes.txt': '',
        nbd: { 'kept.js': '' },
        service: { 'daemon.js': '' },
      },
      test: { unit: { 'kept.test.js': '', 'gone.test.js': '' } },
    },
  });
  t.same(removeStaleOutputs(root).toSorted(), [
    'out/daemon/gone.js',
    'out/daemon/gone.js.map',
    'out/daemon/service/daemon.js',
    'out/test/unit/gone.test.js',
  ]);
  for (const kept of [
    'out/bundle/main.js',
    'out/daemon/kept.js',
    'out/daemon/kept.js.map',
    'out/daemon/notes.txt',
    'out/daemon/nbd/kept.js',
    'out/test/unit/kept.test.js',
  ]) {
    t.ok(existsSync(join(root, kept)), kept);
  }
  t.notOk(existsSync(join(root, 'out/daemon/gone.js')));
  t.same(removeStaleOutputs(root), []);
  t.end();
});

await test('a repository that was never built', (t) => {
  t.same(removeStaleOutputs(t.testdir({ daemon: {} })), []);
  t.end();
});
