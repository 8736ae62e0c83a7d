// How the beginning of an archive of files looks. Pure.

import { TAR_BLOCK } from '../blob/tar.js';
import { looksLikeTar } from '../tarball/header.js';

export function isGzip(head: Buffer): boolean {
  return head.length >= 3 && head.readUIntBE(0, 3) === 0x1f8b08;
}

/** @param head the first 1024 bytes, or all. An archive without files is zeros */
export function isArchiveBegin(head: Buffer): boolean {
  return looksLikeTar(head) || (head.length >= 2 * TAR_BLOCK && head.every((byte) => byte === 0));
}
