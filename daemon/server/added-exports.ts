// The exports that were added while a daemon ran. They are kept beside those of the configuration, in a file of the
// state folder: through a reload, an upgrade, an end and a kill -9, until they are removed or the system restarts.

import { existsSync } from 'node:fs';
import { readStateFile, replaceStateFile } from '../devices/state-file.js';
import { OverlaybdError, messageOf } from '../errors.js';
import { sourceOfWords, wordsOf, type ImageSource } from '../image/plan/image-source.js';
import type { ExportSources } from '../image/table.js';
import type { Logger } from '../log/logger.js';

/** Exports that may have been added at a time. */
const MAX_ADDED_EXPORTS = 1024;
/** Bytes of the file. */
const MAX_FILE_LENGTH = 32 << 20;

export class AddedExports {
  readonly #path: string;
  readonly #log: Logger;
  #sources: ExportSources;
  #isFrozen = false;

  private constructor(path: string, sources: ExportSources, log: Logger) {
    this.#path = path;
    this.#sources = sources;
    this.#log = log;
  }

  /**
   * Reads the file. If it is wrong, the log says so, the daemon starts without it, and the next change replaces it.
   * @param path need not be there
   */
  static async open(path: string, log: Logger): Promise<AddedExports> {
    try {
      if (!existsSync(path)) return new AddedExports(path, new Map(), log);
      // Loaded here: most starts have no such file.
      const { parseAddedExports } = await import('../config/added-exports.js');
      const exports = parseAddedExports(readStateFile(path, MAX_FILE_LENGTH), path);
      const sources = exports.map(({ name, image, partition, beside }) => {
        return [name, sourceOfWords(image, partition, beside)] as const;
      });
      return new AddedExports(path, new Map(sources), log);
    } catch (error) {
      log.log('error', `the exports that were added earlier are not served: ${messageOf(error)}`);
      return new AddedExports(path, new Map(), log);
    }
  }

  has(name: string): boolean {
    return this.#sources.has(name);
  }

  /** @returns these exports and those of a configuration, which win */
  with(configured: ExportSources): ExportSources {
    return new Map([...this.#sources, ...configured]);
  }

  /** Drops those whose names a configuration has now: else they would come back when it no longer has them. */
  settle(configured: ExportSources): void {
    const taken = [...this.#sources.keys()].filter((name) => configured.has(name));
    if (taken.length === 0) return;
    for (const name of taken) {
      const what = `export ${JSON.stringify(name)}: the configuration has one of this name now`;
      this.#log.log('warn', `${what}; the added one is dropped`, { export: name });
    }
    const others = new Map([...this.#sources].filter(([name]) => !configured.has(name)));
    try {
      this.#keep(others);
    } catch (error) {
      this.#log.log('error', messageOf(error));
      // The file still has them, but the exports of these names are not those that were added.
      this.#sources = others;
    }
  }

  /** @throws OverlaybdError BUSY while another daemon takes over, LIMIT, IO; nothing has changed then */
  set(name: string, source: ImageSource): void {
    const sources = new Map([...this.#sources, [name, source]]);
    if (sources.size > MAX_ADDED_EXPORTS) {
      const message = `${MAX_ADDED_EXPORTS} exports were added, the most that are kept; put them into the configuration`;
      throw new OverlaybdError('LIMIT', message);
    }
    this.#keep(sources);
  }

  /** @throws as {@link set} */
  delete(name: string): void {
    this.#keep(new Map([...this.#sources].filter(([each]) => each !== name)));
  }

  /** Allows no changes: a successor reads the file. */
  freeze(isFrozen: boolean): void {
    this.#isFrozen = isFrozen;
  }

  #keep(sources: ExportSources): void {
    if (this.#isFrozen) {
      throw new OverlaybdError('BUSY', 'another daemon is replacing this one: try again');
    }
    const exports = [...sources].map(([name, { blobs, partition, beside }]) => {
      return { name, image: wordsOf(blobs), partition, beside };
    });
    const text = `${JSON.stringify({ version: 1, exports }, null, 2)}\n`;
    const bytes = Buffer.byteLength(text);
    if (bytes > MAX_FILE_LENGTH) {
      const message = `${this.#path}: it would have ${bytes} bytes, at most ${MAX_FILE_LENGTH}; use shorter paths or a configuration`;
      throw new OverlaybdError('LIMIT', message);
    }
    try {
      replaceStateFile(this.#path, text);
    } catch (error) {
      const message = `${this.#path}: the change cannot be kept: ${messageOf(error)}`;
      throw new OverlaybdError('IO', message, { cause: error });
    }
    this.#sources = sources;
  }
}
