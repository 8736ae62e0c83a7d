// Attributes of files for which Node.js has no call. Conventions of all calls: addon.ts. A file is a name of bytes in an
// open folder, or with an empty name what `fd` itself is. No symlink is followed.

import { addon } from './addon.js';

interface Attributes {
  /** Makes a device or a pipe. @param mode with the bits of the type, S_IFCHR and so on */
  makeNode(fd: number, name: Uint8Array, mode: number, major: number, minor: number): number;
  /** Sets the times of the last change and of the last read. @param seconds from 1970, forwards or backwards */
  setTimes(
    fd: number,
    name: Uint8Array,
    seconds: number,
    before1970: 0 | 1,
    nanoseconds: number,
  ): number;
  setXattr(fd: number, name: Uint8Array, xattr: Uint8Array, value: Uint8Array): number;
  /**
   * Puts the names of all xattrs into `into`, each with a NUL after it.
   * @returns their bytes; -ERANGE if they do not fit; with an empty `into` only their bytes
   */
  listXattrs(fd: number, name: Uint8Array, into: Uint8Array): number;
  /** The value of one xattr, with the same results. */
  getXattr(fd: number, name: Uint8Array, xattr: Uint8Array, into: Uint8Array): number;
}

export const attributes = addon['attributes'] as Attributes;
