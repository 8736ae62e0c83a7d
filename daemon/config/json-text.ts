// Finds what JSON.parse does not report: keys that occur twice in an object, of which it silently uses the
// last, and the digits of numbers that JavaScript cannot represent. Only for texts that it has parsed.

/** The path of a value, from the outside in. */
export type JsonPath = readonly (string | number)[];

export interface JsonFacts {
  /** The first key that occurs twice in one object. */
  readonly duplicate: JsonPath | null;
  /** Whether the text is deeper than {@link MAX_DEPTH}. Deeper parts were not checked. */
  readonly isTooDeep: boolean;
  /** Numbers above 2^53 as they are written, by {@link pathKey}. */
  readonly largeNumbers: ReadonlyMap<string, string>;
}

/** Levels of nesting. No configuration needs more than four. */
export const MAX_DEPTH = 64;
/** Large numbers that are kept for messages, which name only one. */
const MAX_LARGE_NUMBERS = 100;

const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const OPEN_ARRAY = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

interface Level {
  /** null for an array. */
  readonly keys: Set<string> | null;
  /** The key or the index of the next value. */
  at: string | number;
  /** Whether the next string is a key. */
  wantsKey: boolean;
}

export function pathKey(path: JsonPath): string {
  return JSON.stringify(path);
}

/** @param text that JSON.parse takes */
export function jsonFacts(text: string): JsonFacts {
  const levels: Level[] = [];
  const largeNumbers = new Map<string, string>();
  const path = (): JsonPath => levels.map(({ at }) => at);
  let level: Level | undefined;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === QUOTE) {
      const end = endOfString(text, i);
      if (level?.wantsKey) {
        // The same key may be written with different escapes.
        const key = JSON.parse(text.slice(i, end + 1)) as string;
        level.at = key;
        level.wantsKey = false;
        if (level.keys?.has(key)) return { duplicate: path(), isTooDeep: false, largeNumbers };
        level.keys?.add(key);
      }
      i = end;
    } else if (code === COMMA && level) {
      if (typeof level.at === 'number') level.at++;
      else level.wantsKey = true;
    } else if (code === OPEN_OBJECT || code === OPEN_ARRAY) {
      if (levels.length === MAX_DEPTH) return { duplicate: null, isTooDeep: true, largeNumbers };
      const isObject = code === OPEN_OBJECT;
      level = { keys: isObject ? new Set() : null, at: isObject ? '' : 0, wantsKey: isObject };
      levels.push(level);
    } else if (code === CLOSE_OBJECT || code === CLOSE_ARRAY) {
      levels.pop();
      level = levels.at(-1);
    } else if (code === MINUS || isDigit(code)) {
      const end = endOfNumber(text, i);
      if (largeNumbers.size < MAX_LARGE_NUMBERS) {
        const number = text.slice(i, end);
        const isLarge = Math.abs(Number(number)) > Number.MAX_SAFE_INTEGER;
        if (isLarge) largeNumbers.set(pathKey(path()), number);
      }
      i = end - 1;
    }
  }
  return { duplicate: null, isTooDeep: false, largeNumbers };
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}

/** The index of the closing quote. */
function endOfString(text: string, begin: number): number {
  for (let i = begin + 1; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === QUOTE) return i;
    if (code === BACKSLASH) i++;
  }
  return text.length;
}

/** The index after the last character of a number: digits, signs, a point, an exponent. */
function endOfNumber(text: string, begin: number): number {
  let i = begin + 1;
  while (i < text.length && '0123456789+-.eE'.includes(text.charAt(i))) i++;
  return i;
}
