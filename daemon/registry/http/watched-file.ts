// Configuration files that others change while we run: looked at again at each use, but not more often than once in
// a while, and parsed again if they have changed. A file that is broken for the moment counts as it was before.

import { stat } from 'node:fs/promises';
import { messageOf } from '../../errors.js';
import { printableLine } from '../../lib/printable.js';
import { Lru } from './lru.js';
import { readFileIfThere } from './small-file.js';

export interface WatchSeams {
  readonly now: () => number;
  readonly log: (line: string) => void;
  /** For how long a file is taken as it was. */
  readonly filesMs: number;
}

const NO_FILE = 'no such file';
/** Files in memory. */
const MAX_FILES = 256;

interface Entry<T> {
  lookedAt: number;
  version: string | null;
  value: T | null;
  /** Why there is no value. */
  problem: string;
}

export class WatchedFiles<T> {
  readonly #parse: (text: string, path: string) => T;
  readonly #seams: WatchSeams;
  readonly #entries = new Lru<string, Entry<T>>(MAX_FILES);

  /** @param parse throws if the text is wrong; its message must have no secrets */
  constructor(parse: (text: string, path: string) => T, seams: WatchSeams) {
    this.#parse = parse;
    this.#seams = seams;
  }

  /** Why there is nothing to get of a file that was looked at. */
  problem(path: string): string {
    return this.#entries.get(path)?.problem ?? NO_FILE;
  }

  /** @returns null if there is no such file, or if it was never right */
  async get(path: string): Promise<T | null> {
    const { now, log, filesMs } = this.#seams;
    const known = this.#entries.get(path) ?? {
      lookedAt: -Infinity,
      version: null,
      value: null,
      problem: NO_FILE,
    };
    if (now() - known.lookedAt < filesMs) return known.value;
    known.lookedAt = now();
    this.#entries.set(path, known);
    const version = await versionOf(path);
    if (version === known.version) return known.value;
    known.version = version;
    if (version === null) {
      known.problem = NO_FILE;
      return (known.value = null);
    }
    try {
      const text = await readFileIfThere(path);
      known.problem = NO_FILE;
      known.value = text === null ? null : this.#parse(text, path);
    } catch (error) {
      // JSON.parse repeats a part of the text, which may be a password.
      known.problem = error instanceof SyntaxError ? 'not well-formed' : sayingWhy(error, path);
      const what = known.value === null ? 'it is not used' : 'it is used as it was before';
      log(printableLine(`${path}: ${known.problem}; ${what}`));
    }
    return known.value;
  }
}

/** Changes if the file does; null if there is none. */
export async function versionOf(path: string): Promise<string | null> {
  try {
    const { ino, size, mtimeMs } = await stat(path);
    return `${ino} ${size} ${mtimeMs}`;
  } catch {
    return null;
  }
}

/** The message of an error without the path, which its reader names. */
function sayingWhy(error: unknown, path: string): string {
  const message = messageOf(error);
  return message.startsWith(`${path}: `) ? message.slice(path.length + 2) : message;
}
