// Where a file of a composefs image has its contents: an object that its extended attributes name, or the image itself.

import { chunkForm, flatExtents, isOneHole } from '../erofs/reader/contents.js';
import type { ErofsImage, VisitedEntry } from '../erofs/reader/image.js';
import { TRUSTED, visitXattrs, type VisitXattr } from '../erofs/reader/xattrs.js';
import { bytesMatch, latin1Of } from '../lib/bytes.js';
import type { Effort } from '../lib/effort.js';
import type { DataRange } from '../tree/layer-tree.js';
import { MAX_FILE_BYTES } from '../tree/limits.js';
import { shownPath } from '../tree/names.js';
import { VERITY_DIGEST } from './fs-verity.js';
import { MAX_OBJECT_NAME } from './limits.js';
import type { ObjectTableBuilder } from './object-table.js';

/** The path of the object in the store. */
const REDIRECT = 'trusted.overlay.redirect';
/** The file has its contents elsewhere: empty, or with a digest. */
const METACOPY = 'trusted.overlay.metacopy';
/** The same names without the prefix. */
const REDIRECT_NAME = Buffer.from('overlay.redirect');
const METACOPY_NAME = Buffer.from('overlay.metacopy');
/** Version 0, length, flags, SHA-256. */
const METACOPY_HEADER = 4;
const METACOPY_BEGIN = Buffer.from([0, METACOPY_HEADER + VERITY_DIGEST, 0, 1]);
const SLASH = 0x2f;
const HEX = Buffer.from('0123456789abcdef');

export class FileReader {
  readonly #image: ErofsImage;
  readonly #table: ObjectTableBuilder;
  /** Of the file that is looked at: where its two attributes are; 0 until they are found. */
  #redirectAt = 0;
  #redirectEnd = 0;
  #metacopyAt = 0;
  #metacopyEnd = 0;
  #isUsual = false;
  /** Bytes of its attributes. */
  #xattrBytes = 0;

  constructor(image: ErofsImage, table: ObjectTableBuilder) {
    this.#image = image;
    this.#table = table;
  }

  /**
   * Gives a regular file its place in the table if it has an object, by the name that the tools of composefs give to it, and no
   * other extended attributes. Makes no text and no map.
   * @returns null if it is another file
   * @throws OverlaybdError as {@link dataOf} does, and what the effort throws
   */
  usualDataOf(entry: VisitedEntry, effort: Effort): DataRange[] | null {
    const { inode } = entry;
    const { size } = inode;
    const { bytes } = this.#image;
    this.#redirectAt = 0;
    this.#metacopyAt = 0;
    this.#isUsual = true;
    this.#xattrBytes = 0;
    visitXattrs(this.#image, inode, this.#count, this.#visit);
    const [redirectAt, metacopyAt] = [this.#redirectAt, this.#metacopyAt];
    const digestAt = metacopyAt + METACOPY_HEADER;
    const isUsual =
      this.#isUsual &&
      redirectAt > 0 &&
      metacopyAt > 0 &&
      size <= MAX_FILE_BYTES &&
      this.#metacopyEnd === digestAt + VERITY_DIGEST &&
      bytesMatch(bytes, metacopyAt, METACOPY_BEGIN) &&
      isPathOf(bytes, redirectAt, this.#redirectEnd, digestAt);
    if (!isUsual) return null;
    this.#image.countXattrs(this.#xattrBytes, effort);
    if (size === 0) return [];
    const offset = this.#table.addUsualObject(bytes, digestAt, size, entry);
    return [{ fileOffset: 0, length: size, source: 0, offset }];
  }

  readonly #count = (bytes: number): void => {
    this.#xattrBytes += bytes;
  };

  /** Another attribute, or one of them again, is left to those who make a map of all. */
  readonly #visit: VisitXattr = (prefix, nameAt, valueAt, valueEnd) => {
    const { bytes } = this.#image;
    const isTrusted = prefix === TRUSTED;
    if (isTrusted && this.#redirectAt === 0 && areBytes(bytes, nameAt, valueAt, REDIRECT_NAME)) {
      this.#redirectAt = valueAt;
      this.#redirectEnd = valueEnd;
    } else if (
      isTrusted &&
      this.#metacopyAt === 0 &&
      areBytes(bytes, nameAt, valueAt, METACOPY_NAME)
    ) {
      this.#metacopyAt = valueAt;
      this.#metacopyEnd = valueEnd;
    } else this.#isUsual = false;
    return this.#isUsual;
  };

  /**
   * Gives a regular file its places in the table.
   * @param xattrs of the file, as the image has them
   * @throws OverlaybdError BAD_FORMAT, LIMIT, UNSUPPORTED
   */
  dataOf(entry: VisitedEntry, xattrs: ReadonlyMap<string, Uint8Array>): DataRange[] {
    const { inode } = entry;
    const { size } = inode;
    const { bytes, superblock, blob } = this.#image;
    if (size > MAX_FILE_BYTES) {
      throw this.#image.badEntry(
        'LIMIT',
        entry,
        `a file of ${size} bytes, at most ${MAX_FILE_BYTES}`,
      );
    }
    const redirect = xattrs.get(REDIRECT);
    const whole = (offset: number): DataRange[] => [
      { fileOffset: 0, length: size, source: 0, offset },
    ];
    if (redirect) {
      const name = this.#objectName(entry, latin1Of(redirect));
      const digest = this.#digestOf(entry, xattrs.get(METACOPY));
      if (size === 0) return [];
      return whole(this.#table.addObject({ name, size, digest }, entry));
    }
    if (size === 0) return [];
    if (inode.layout !== 'chunks') {
      const extents = flatExtents(inode, superblock, bytes.length, blob);
      const [first] = extents;
      if (!first) return [];
      // What is before it is a hole.
      const { fileOffset } = first;
      const offset = this.#table.addInImage(extents, entry);
      return [{ fileOffset, length: size - fileOffset, source: 0, offset }];
    }
    // Such an image mounts, too: overlayfs fails the reads of this file alone.
    if (isOneHole(chunkForm(inode, superblock, bytes.length, blob), bytes)) {
      return whole(this.#table.addMissing(size, entry));
    }
    const text = 'contents in chunks, which composefs images do not have';
    throw this.#image.badEntry('BAD_FORMAT', entry, text);
  }

  /** @throws OverlaybdError BAD_FORMAT for what leads out of the store */
  #objectName(entry: VisitedEntry, redirect: string): string {
    const name = redirect.replace(/^\/+/, '');
    const isUtf8 = Buffer.from(Buffer.from(name, 'latin1').toString(), 'utf8').toString('latin1');
    const isGood =
      redirect.startsWith('/') &&
      name.length <= MAX_OBJECT_NAME &&
      isUtf8 === name &&
      !name.includes('\0') &&
      name.split('/').every((each) => each !== '' && each !== '.' && each !== '..');
    if (isGood) return name;
    const text = `expected a path from the root of the store to an object, got ${shownPath(redirect)}`;
    throw this.#image.badEntry('BAD_FORMAT', entry, text);
  }

  /** @returns null if there is none */
  #digestOf(entry: VisitedEntry, metacopy: Uint8Array | undefined): Uint8Array | null {
    if (metacopy === undefined || metacopy.length === 0) return null;
    const isDigest =
      metacopy.length === METACOPY_HEADER + VERITY_DIGEST &&
      bytesMatch(metacopy, 0, METACOPY_BEGIN);
    if (isDigest) return metacopy.subarray(METACOPY_HEADER);
    const begin = Buffer.from(metacopy.subarray(0, METACOPY_HEADER)).toString('hex');
    const text = `a digest that is not of SHA-256: ${METACOPY} has ${metacopy.length} bytes and begins with ${begin}`;
    throw this.#image.badEntry('UNSUPPORTED', entry, text);
  }
}

function areBytes(bytes: Uint8Array, begin: number, end: number, expected: Buffer): boolean {
  return end - begin === expected.length && bytesMatch(bytes, begin, expected);
}

/** Whether bytes are the path from the root of the store that follows from a digest: a slash, "0a", a slash, "1b2c...". */
function isPathOf(bytes: Uint8Array, begin: number, end: number, digestAt: number): boolean {
  if (end - begin !== 2 + 2 * VERITY_DIGEST || bytes[begin] !== SLASH) return false;
  if (bytes[begin + 3] !== SLASH) return false;
  for (let i = 0; i < VERITY_DIGEST; i++) {
    const byte = bytes[digestAt + i] as number;
    // The second slash is behind the first byte.
    const at = begin + 2 * i + (i === 0 ? 1 : 2);
    if (bytes[at] !== HEX[byte >>> 4] || bytes[at + 1] !== HEX[byte & 0xf]) return false;
  }
  return true;
}
