// V8's code cache in a file. It is used only by the program that it was made for and by, and only if it is
// undamaged. V8 itself compares its version, its flags and the length of the text, and trusts the rest: a
// cache of another patch release of Node.js, of another architecture, or with a hole in it ends the process
// by a signal.

import { createHash } from 'node:crypto';
import { statSync, writeFileSync } from 'node:fs';
import { cachedDataVersionTag } from 'node:v8';

/** Hexadecimal digits of SHA-256. */
const DIGEST_LENGTH = 64;

/** @returns null if the cache may not be used */
export function checkedCodeCache(cache: Buffer, bundleId: string): Buffer | null {
  let origin: string;
  try {
    origin = originOf(bundleId);
  } catch {
    // Node.js is being replaced.
    return null;
  }
  const start = origin.length + DIGEST_LENGTH + 1;
  if (cache.toString('latin1', 0, origin.length) !== origin) return null;
  const data = cache.subarray(start);
  return cache.toString('latin1', origin.length, start) === `${digest(data)}\n` ? data : null;
}

export function writeCodeCache(path: string, bundleId: string, data: Buffer): void {
  writeFileSync(path, Buffer.concat([Buffer.from(`${originOf(bundleId)}${digest(data)}\n`), data]));
}

/** One line: the bundle, Node's version and architecture, V8's version, flags and CPU features, the build. */
function originOf(bundleId: string): string {
  // Distributions build the same version in different ways.
  const { size } = statSync(process.execPath);
  return `${bundleId} ${process.version} ${process.arch} ${cachedDataVersionTag()} ${size} `;
}

function digest(data: Buffer): string {
  return createHash('sha256').update(data).digest('hex');
}
