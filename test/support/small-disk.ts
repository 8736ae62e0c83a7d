// A disk that is soon full: a file system of some MiB in memory, where this user may mount one.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';

/** @returns the path of its root; null if this user may not mount one */
export function smallDisk(t: Test, size: number): string | null {
  // Not below t.testdir(), which is removed before the teardown.
  const path = mkdtempSync(join(tmpdir(), 'small-disk-'));
  const options = `size=${size},mode=700`;
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'none', path]);
  t.teardown(() => {
    spawnSync('umount', ['--lazy', path]);
    rmdirSync(path);
  });
  return mounted.status === 0 ? path : null;
}
