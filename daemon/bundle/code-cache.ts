// V8's code cache in a file. It is used only by the program that it was made for and by, and only if it is
// undamaged. V8 itself compares its version, its flags and the length of the text, and trusts the rest: a
// cache of another patch release of Node.js, of another architecture, or with a hole in it ends the process
// by a signal.

import { statSync, writeFileSync } from 'node:fs';

/** Digits of the checksum, in hexadecimal. */
const CHECKSUM_LENGTH = 64;

/** @returns the part of the cache that V8 takes; null if the cache may not be used */
export function checkedCodeCache(cache: Buffer, bundleId: string): Buffer | null {
  let origin: string;
  try {
    origin = originOf(bundleId);
  } catch {
    // Node.js is being replaced.
    return null;
  }
  const start = origin.length + CHECKSUM_LENGTH + 1;
  if (cache.toString('latin1', 0, origin.length) !== origin) return null;
  const data = cache.subarray(start);
  return cache.toString('latin1', origin.length, start) === `${checksum(data)}\n` ? data : null;
}

export function writeCodeCache(path: string, bundleId: string, data: Buffer): void {
  const head = `${originOf(bundleId)}${checksum(data)}\n`;
  writeFileSync(path, Buffer.concat([Buffer.from(head), data]));
}

/**
 * One line: the bundle, Node's version and architecture, V8's version, the build. Not V8's flags: V8 compares
 * them itself, and node:v8, which has a tag of them, takes more than a millisecond to load.
 */
function originOf(bundleId: string): string {
  // Distributions build the same version in different ways.
  const { size } = statSync(process.execPath);
  return `${bundleId} ${process.version} ${process.arch} ${process.versions.v8} ${size} `;
}

/** Shows damage, not malice: a user who may write the cache may write the bundle, too. */
function checksum(data: Buffer): string {
  // Threads load this file and check nothing. The main thread needs node:crypto later for the fingerprints of images.
  const { createHash } = process.getBuiltinModule('node:crypto');
  return createHash('sha256').update(data).digest('hex');
}
