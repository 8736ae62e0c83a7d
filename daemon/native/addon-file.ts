// The file of the addon, which is the same for all threads of a process. A package manager may replace it while
// the process runs. A thread that loaded another one would have another table of files and another file pool,
// or none that fits its JavaScript.

import { existsSync, openSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { getEnvironmentData, isMainThread, setEnvironmentData } from 'node:worker_threads';

const BUILT = new URL('../../../native/build/Release/overlaybd_nbd.node', import.meta.url);

/** Key of the descriptor among the data that threads inherit. */
const DESCRIPTOR = 'overlaybd-nbd addon';

/** Only test/asan sets this: it runs the unit tests on an addon that was built with sanitizers. */
export function addonPath(): string {
  return process.env['OVERLAYBD_NBD_ADDON'] ?? fileURLToPath(BUILT);
}

/** Call this before the first thread starts. Idempotent. */
export function keepAddonFile(): void {
  if (getEnvironmentData(DESCRIPTOR) !== undefined) return;
  try {
    setEnvironmentData(DESCRIPTOR, openSync(addonPath(), 'r'));
  } catch {
    // Loading it fails too, and says why.
  }
}

/** What a thread loads: the kept file. dlopen(3) knows by device and inode that it is loaded already. */
export function keptAddonPath(): string | null {
  const descriptor = isMainThread ? null : getEnvironmentData(DESCRIPTOR);
  if (typeof descriptor !== 'number') return null;
  const path = `/proc/self/fd/${descriptor}`;
  // There may be no /proc.
  return existsSync(path) ? path : null;
}
