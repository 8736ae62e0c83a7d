// What a bundle is made of, as one digest: the modules, the packages, and the Node.js that compiles it.

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const STAMP = '.inputs';

/** @returns the digest of the inputs of what is in a folder for bundles; null if that is not known */
export function stampOf(bundle: string): string | null {
  try {
    return readFileSync(join(bundle, STAMP), 'utf8');
  } catch {
    return null;
  }
}

/** Notes that the bundle is complete. */
export function writeStamp(bundle: string, inputs: string): void {
  writeFileSync(join(bundle, STAMP), inputs);
}

/**
 * @param modules the folder of the compiled modules
 * @param packageLock the list of installed packages, with a digest of each
 */
export function digestOfInputs(modules: string, packageLock: string): string {
  const hash = createHash('sha256');
  // The code caches are for exactly this program (code-cache.ts).
  hash.update(`${process.version} ${process.arch} ${statSync(process.execPath).size}\n`);
  const names = readdirSync(modules, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.js'))
    .toSorted();
  for (const path of [packageLock, ...names.map((name) => join(modules, name))]) {
    const bytes = readFileSync(path);
    hash.update(`${path} ${bytes.length}\n`).update(bytes);
  }
  return hash.digest('hex');
}
