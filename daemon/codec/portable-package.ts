// Loads the npm package that decodes where the system lacks the library of a codec. Packages are optional: a machine
// has the library or the package.

import { createRequire } from 'node:module';
import { OverlaybdError, messageOf } from '../errors.js';

const require = createRequire(import.meta.url);

/** Whether the package is installed beside the program. Does not load it. */
export function hasPackage(path: string): boolean {
  try {
    require.resolve(path);
    return true;
  } catch {
    return false;
  }
}

/**
 * @param path the package, or a module in it
 * @param library what the system lacks, and the Debian package that has it
 * @throws OverlaybdError UNSUPPORTED
 */
export function loadPackage(path: string, library: string): unknown {
  try {
    return require(path);
  } catch (cause) {
    const name = path.split('/', 1)[0];
    throw new OverlaybdError(
      'UNSUPPORTED',
      `no decoder: neither ${library} nor the npm package ${name} can be loaded: ${firstLine(cause)}`,
      { cause },
    );
  }
}

/** Node lists every module that required the missing one on lines of their own. */
function firstLine(error: unknown): string {
  return messageOf(error).split('\n', 1)[0] ?? '';
}
