// Loads the addon of native/. The other files of this folder, without addon-file.ts, describe what the addon
// exports, one for each *-binding.cc.
//
// Unless its comment says otherwise, a function returns a number >= 0, or -errno (compare with `-EAGAIN`
// and so on). It throws only for mistakes of the caller: TypeError for a wrong type, RangeError for a
// number that is negative, fractional or too large, or for a range outside its buffer. No function waits
// for a socket. A buffer may lie over a SharedArrayBuffer. Positions, offsets and lengths are bytes.

import { messageOf, OverlaybdError } from '../errors.js';
import { addonPath, keptAddonPath } from './addon-file.js';

/**
 * Of the functions of the addon, as native/src/addon.cc exports it. Raise both when a function comes, goes, or changes its
 * arguments.
 */
const INTERFACE = 1;
const REBUILD = 'To build it: npm rebuild -g overlaybd-nbd, or npm run build:native in a checkout';

function load(): unknown {
  const path = addonPath();
  const addon: { exports: { interface?: unknown } } = { exports: {} };
  try {
    // Not require(), which would look for the file by its path.
    process.dlopen(addon, keptAddonPath() ?? path);
  } catch (cause) {
    throw new OverlaybdError(
      'NOT_FOUND',
      `native addon ${path}: not loaded: ${messageOf(cause)}. ${REBUILD}`,
      { cause },
    );
  }
  const got = addon.exports.interface;
  if (got === INTERFACE) return addon.exports;
  throw new OverlaybdError(
    'UNSUPPORTED',
    `native addon ${path}: of another version than this program: expected interface ${INTERFACE}, got ${typeof got === 'number' ? got : 'none'}. ${REBUILD}`,
  );
}

/** One object for each file of this folder, which says what is in it. */
export const addon = load() as Readonly<Record<string, unknown>>;
