// Loads the addon of native/. The only file that knows where the .node file is. The other files of this
// folder describe what the addon exports, one for each *-binding.cc.
//
// Unless its comment says otherwise, a function returns a number >= 0, or -errno (compare with `-EAGAIN`
// and so on). It throws only for mistakes of the caller: TypeError for a wrong type, RangeError for a
// number that is negative, fractional or too large, or for a range outside its buffer. No function waits
// for a socket. A buffer may lie over a SharedArrayBuffer. Positions, offsets and lengths are bytes.

import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { messageOf, OverlaybdError } from '../errors.js';

const BUILT = new URL('../../../native/build/Release/overlaybd_nbd.node', import.meta.url);

function load(): unknown {
  // Only test/asan sets this: it runs the unit tests on an addon that was built with sanitizers.
  const path = process.env['OVERLAYBD_NBD_ADDON'] ?? fileURLToPath(BUILT);
  try {
    return createRequire(import.meta.url)(path);
  } catch (cause) {
    throw new OverlaybdError(
      'NOT_FOUND',
      `native addon ${path}: not loaded: ${messageOf(cause)}. To build it: npm rebuild -g overlaybd-nbd, or npm run build:native in a checkout`,
      { cause },
    );
  }
}

/** One object for each file of this folder, which says what is in it. */
export const addon = load() as Readonly<Record<string, unknown>>;
