// Where a file of a composefs image has its contents: an object that its extended attributes name, or the image itself.

import { chunkForm, flatExtents, isOneHole } from '../erofs/reader/contents.js';
import type { ErofsImage, VisitedEntry } from '../erofs/reader/image.js';
import { bytesMatch, latin1Of } from '../lib/bytes.js';
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
/** What the tools of composefs write: the digest of the object. */
const USUAL = /^\/[0-9a-f]{2}\/[0-9a-f]{62}$/;
/** Version 0, length, flags, SHA-256. */
const METACOPY_HEADER = 4;
const METACOPY_BEGIN = Buffer.from([0, METACOPY_HEADER + VERITY_DIGEST, 0, 1]);

export class FileReader {
  readonly #image: ErofsImage;
  readonly #table: ObjectTableBuilder;

  constructor(image: ErofsImage, table: ObjectTableBuilder) {
    this.#image = image;
    this.#table = table;
  }

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
      return whole(this.#table.addInImage(extents, entry));
    }
    const isHole = isOneHole(chunkForm(inode, superblock, bytes, blob), bytes);
    const text = isHole
      ? 'neither contents nor the name of an object'
      : 'contents in chunks, which composefs images do not have';
    throw this.#image.badEntry('BAD_FORMAT', entry, text);
  }

  /** @throws OverlaybdError BAD_FORMAT for what leads out of the store */
  #objectName(entry: VisitedEntry, redirect: string): string {
    if (USUAL.test(redirect)) return redirect.slice(1);
    const name = redirect.replace(/^\/+/, '');
    const isUtf8 = Buffer.from(Buffer.from(name, 'latin1').toString(), 'utf8').toString('latin1');
    const isGood =
      redirect.startsWith('/') &&
      name.length <= MAX_OBJECT_NAME &&
      isUtf8 === name &&
      !name.includes('\0') &&
      name.split('/').every((each) => each !== '' && each !== '.' && each !== '..');
    if (isGood) return name;
    const text = `a path from the root of the store to an object is expected, got ${shownPath(redirect)}`;
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
