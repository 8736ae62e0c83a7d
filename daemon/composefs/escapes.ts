// What composefs changes so that overlayfs leaves it alone, and how it was before: extended attributes of overlayfs, device
// nodes that would be whiteouts, and device nodes in the root that hide the store.

import type { VisitedEntry } from '../erofs/reader/image.js';
import { typeOfMode } from '../tree/file-types.js';

const OVERLAY = 'trusted.overlay.';
/** An attribute that the files had themselves has one more of these in its name. */
const ESCAPED = 'trusted.overlay.overlay.';
/** The file is a device node 0:0. */
const WHITEOUT = `${ESCAPED}whiteout`;
/** A directory that has such files. */
const WHITEOUTS = `${ESCAPED}whiteouts`;
/** Of such a directory. */
const OPAQUE = `${ESCAPED}opaque`;
/** Beside the ones above, for overlayfs in a user namespace. A file that had one of those above itself has none of these. */
const USER_WHITEOUT = 'user.overlay.whiteout';
const USER_WHITEOUTS = 'user.overlay.whiteouts';
const OF_USERS = [USER_WHITEOUT, USER_WHITEOUTS, 'user.overlay.opaque'];

/** The root has these in order to hide the folders of the store, in case that it is the lowest layer of overlayfs. */
export function isHidingDevice({ path, inode }: VisitedEntry): boolean {
  if (path.length !== 2) return false;
  return /^[0-9a-f]{2}$/.test(path) && typeOfMode(inode.mode) === 'char' && inode.place === 0;
}

export interface Restored {
  /** Those that the file had; null: none. */
  readonly xattrs: ReadonlyMap<string, Uint8Array> | null;
  /** It was a device node 0:0. */
  readonly isWhiteout: boolean;
}

/** @param stored the attributes that the image has */
export function restored(stored: ReadonlyMap<string, Uint8Array>): Restored {
  // Most files have none but those that name their object.
  let xattrs: Map<string, Uint8Array> | null = null;
  const isWhiteout = stored.has(WHITEOUT) && stored.has(USER_WHITEOUT);
  const hasWhiteouts = stored.has(WHITEOUTS) && stored.has(USER_WHITEOUTS);
  const isMarked = isWhiteout || hasWhiteouts;
  for (const [name, value] of stored) {
    if (isMarked && OF_USERS.includes(name)) continue;
    if ((name === WHITEOUT && isWhiteout) || (name === WHITEOUTS && hasWhiteouts)) continue;
    if (name === OPAQUE && isMarked && Buffer.from(value).toString('latin1') === 'x') continue;
    const isEscaped = name.startsWith(ESCAPED);
    if (!isEscaped && name.startsWith(OVERLAY)) continue;
    xattrs ??= new Map();
    xattrs.set(isEscaped ? OVERLAY + name.slice(ESCAPED.length) : name, value);
  }
  return { xattrs, isWhiteout };
}
