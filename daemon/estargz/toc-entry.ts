// One entry of a table of contents: its fields, checked for their types when they are read.

import type { OverlaybdError } from '../errors.js';
import { quoted, quotedJson, shortened } from '../lib/printable.js';
import { sha256Bytes } from '../lib/sha256.js';
import { entryError } from '../tree/entry-error.js';
import type { TreeEntry } from '../tree/layer-tree.js';
import type { JsonEntry } from './json-entries.js';
import { parseTime } from '../tree/times.js';

/** Characters of a wrong value that a message repeats. */
const MAX_SHOWN_LENGTH = 100;

/** What all types of entries have. */
export type Attributes = Pick<TreeEntry, 'mode' | 'uid' | 'gid' | 'mtime' | 'mtimeNs' | 'xattrs'>;

const NO_ASCII = /[^\0-\x7f]/;

/** Text as bytes of UTF-8, one character for each. */
export function byteString(text: string): string {
  return NO_ASCII.test(text) ? Buffer.from(text, 'utf8').toString('latin1') : text;
}

export class TocEntry {
  readonly blob: string;
  /** As the table has it, as a byte string. */
  readonly path: string;
  readonly type: string;
  /** Byte offset in the table. */
  readonly position: number;
  readonly #value: JsonEntry['value'];

  /** @throws OverlaybdError BAD_FORMAT */
  constructor({ value, position }: JsonEntry, blob: string) {
    this.blob = blob;
    this.position = position;
    this.#value = value;
    this.path = '?';
    this.path = byteString(this.text('name'));
    this.type = this.text('type');
  }

  /** A text; '' if it is absent. */
  text(key: string): string {
    const value = this.#value[key] ?? '';
    if (typeof value === 'string') return value;
    throw this.bad(`${key}: expected a string, got ${shown(value)}`);
  }

  /** A number that is whole and not negative; 0 if it is absent. Numbers of 2^53 and more are rounded. */
  whole(key: string): number {
    const value = this.#value[key] ?? 0;
    if (typeof value === 'number' && Number.isInteger(value) && value >= 0) return value;
    throw this.bad(`${key}: expected a whole number, got ${shown(value)}`);
  }

  /** A SHA-256; null if it is absent. */
  digest(key: string): Uint8Array | null {
    const text = this.text(key);
    if (text === '') return null;
    const bytes = sha256Bytes(text);
    if (bytes) return bytes;
    throw this.bad(`${key}: expected "sha256:" and 64 digits, got ${shown(text)}`);
  }

  attributes(): Attributes {
    const time = this.text('modtime');
    const parsed = time === '' ? { seconds: 0, nanoseconds: 0 } : parseTime(time);
    if (!parsed) throw this.bad(`modtime: expected a time, got ${shown(time)}`);
    const xattrs = this.#xattrs();
    return {
      // Old tools have the type in it.
      mode: this.whole('mode') % 0o10000,
      uid: this.whole('uid'),
      gid: this.whole('gid'),
      mtime: parsed.seconds,
      mtimeNs: parsed.nanoseconds,
      xattrs,
    };
  }

  /** @param text what is wrong */
  bad(text: string): OverlaybdError {
    return entryError('BAD_FORMAT', this.blob, this, text);
  }

  #xattrs(): Map<string, Uint8Array> | null {
    const value = this.#value['xattrs'] ?? null;
    if (value === null) return null;
    if (typeof value !== 'object' || Array.isArray(value)) {
      throw this.bad(`xattrs: expected an object, got ${shown(value)}`);
    }
    const xattrs = new Map<string, Uint8Array>();
    for (const [name, bytes] of Object.entries(value)) {
      // Go writes null for what is empty.
      const text: unknown = bytes ?? '';
      if (typeof text !== 'string') {
        throw this.bad(`xattrs: expected base64, got ${shown(text)}`);
      }
      xattrs.set(byteString(name), Buffer.from(text, 'base64'));
    }
    return xattrs;
  }
}

function shown(value: unknown): string {
  return typeof value === 'string'
    ? quoted(shortened(value, MAX_SHOWN_LENGTH))
    : quotedJson(value, MAX_SHOWN_LENGTH);
}
