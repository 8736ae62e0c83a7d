// The entries of a table of contents, one after the other: each is parsed by itself, so that a table of 150 MiB does not
// take several times that as objects, and a list of a hundred million small ones ends at the first.

import { formatError, type OverlaybdError } from '../errors.js';
import { MAX_ENTRY_BYTES } from './limits.js';

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const NULL = Buffer.from('null');

export interface JsonEntry {
  readonly value: Readonly<Record<string, unknown>>;
  /** Byte offset in the text. */
  readonly position: number;
}

/**
 * Yields the objects of the list `entries` of the object that `json` is.
 * @param blob for messages
 * @throws OverlaybdError BAD_FORMAT, LIMIT
 */
export function* jsonEntries(json: Buffer, blob: string): Generator<JsonEntry> {
  const text = new JsonText(json, blob);
  let hasEntries = false;
  text.expect(OPEN_OBJECT, 'an object');
  for (let isFirst = true; text.next() !== CLOSE_OBJECT; isFirst = false) {
    if (!isFirst) text.expect(COMMA, 'a comma or the end of the object');
    const key = text.value();
    text.expect(COLON, 'a colon');
    if (key !== 'entries') {
      text.skip();
      continue;
    }
    if (hasEntries) throw text.wrong('one list of entries');
    hasEntries = true;
    if (!text.passNull()) yield* listed(text);
  }
  text.expect(CLOSE_OBJECT, 'the end of the object');
  if (text.next() !== undefined) throw text.wrong('the end of the text');
  if (!hasEntries) throw text.wrong('a list of entries before');
}

function* listed(text: JsonText): Generator<JsonEntry> {
  text.expect(OPEN_LIST, 'the list of entries');
  for (let isFirst = true; text.next() !== CLOSE_LIST; isFirst = false) {
    if (!isFirst) text.expect(COMMA, 'a comma or the end of the list');
    if (text.next() !== OPEN_OBJECT) throw text.wrong('an entry');
    const position = text.at;
    yield { value: text.value() as Record<string, unknown>, position };
  }
  text.expect(CLOSE_LIST, 'the end of the list');
}

class JsonText {
  /** Byte offset of what is read next. */
  at = 0;
  readonly #json: Buffer;
  readonly #blob: string;

  constructor(json: Buffer, blob: string) {
    this.#json = json;
    this.#blob = blob;
  }

  /** The next byte that is not white space; undefined at the end. */
  next(): number | undefined {
    for (;;) {
      const byte = this.#json[this.at];
      if (byte !== 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d) return byte;
      this.at++;
    }
  }

  expect(byte: number, what: string): void {
    if (this.next() !== byte) throw this.wrong(what);
    this.at++;
  }

  /** Passes a null. Go writes a list without entries so. @returns whether there is one */
  passNull(): boolean {
    this.next();
    const begin = this.at;
    if (this.#json[begin] !== NULL[0]) return false;
    this.#skipWord();
    if (this.#json.subarray(begin, this.at).equals(NULL)) return true;
    this.at = begin;
    return false;
  }

  /** Parses the next value. */
  value(): unknown {
    const begin = this.at;
    this.skip();
    const bytes = this.at - begin;
    if (bytes > MAX_ENTRY_BYTES) {
      this.at = begin;
      throw this.wrong(`a value of at most ${MAX_ENTRY_BYTES} bytes`, `${bytes}`, 'LIMIT');
    }
    try {
      return JSON.parse(this.#json.toString('utf8', begin, this.at));
    } catch {
      this.at = begin;
      throw this.wrong('a JSON value');
    }
  }

  /** Passes the next value, whose parts need not be JSON. */
  skip(): void {
    let depth = 0;
    do {
      const byte = this.next();
      if (byte === undefined) throw this.wrong('a JSON value');
      if (byte === QUOTE) {
        this.#skipString();
      } else if (byte === OPEN_OBJECT || byte === OPEN_LIST) {
        depth++;
        this.at++;
      } else if (byte === CLOSE_OBJECT || byte === CLOSE_LIST) {
        if (depth === 0) throw this.wrong('a JSON value');
        depth--;
        this.at++;
      } else if (depth > 0 && (byte === COMMA || byte === COLON)) {
        this.at++;
      } else {
        this.#skipWord();
      }
    } while (depth > 0);
  }

  wrong(
    expected: string,
    got?: string,
    code: 'BAD_FORMAT' | 'LIMIT' = 'BAD_FORMAT',
  ): OverlaybdError {
    const found = this.#json.toString('utf8', this.at, this.at + 16);
    return formatError({
      blob: this.#blob,
      section: 'table of contents',
      offset: this.at,
      expected,
      got: got ?? (found === '' ? 'its end' : JSON.stringify(found)),
      code,
    });
  }

  #skipString(): void {
    let end = this.at;
    for (;;) {
      end = this.#json.indexOf(QUOTE, end + 1);
      if (end < 0) throw this.wrong('a string with an end');
      let slashes = 0;
      while (this.#json[end - 1 - slashes] === BACKSLASH) slashes++;
      if (slashes % 2 === 0) break;
    }
    this.at = end + 1;
  }

  /** A number, true, false or null; at least one byte. */
  #skipWord(): void {
    const begin = this.at;
    for (;;) {
      const byte = this.#json[this.at];
      const isOfWord =
        byte !== undefined &&
        byte > 0x20 &&
        byte !== COMMA &&
        byte !== COLON &&
        byte !== QUOTE &&
        byte !== OPEN_LIST &&
        byte !== CLOSE_LIST &&
        byte !== OPEN_OBJECT &&
        byte !== CLOSE_OBJECT;
      if (!isOfWord) break;
      this.at++;
    }
    if (this.at === begin) throw this.wrong('a JSON value');
  }
}
