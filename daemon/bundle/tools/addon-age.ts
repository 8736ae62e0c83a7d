// Whether the addon was built after its sources changed. The bundle is run to make its code caches, and with an addon that
// lacks what the modules call, that fails only when its time is over.

import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

/**
 * @param addon the path of the built addon
 * @param native the folder with its sources
 * @throws Error that says what to run, if it is missing or older than a source
 */
export function checkAddonAge(addon: string, native: string): void {
  const built = statSync(addon, { throwIfNoEntry: false });
  if (!built) throw new Error(`${addon}: not there; run npm run build:native, then this again`);
  const sources = readdirSync(join(native, 'src')).map((name) => join(native, 'src', name));
  const newer = [join(native, 'binding.gyp'), ...sources].find(
    (path) => statSync(path).mtimeMs > built.mtimeMs,
  );
  if (newer === undefined) return;
  throw new Error(`${addon}: older than ${newer}; run npm run build:native, then this again`);
}
