// The images that are open, and what the reactors know of them: exports for clients, by name, and
// hidden ones for attached devices. An image is open as long as somebody holds it.

import { ReaderFactory } from '../image/build.js';
import type { Logger } from '../log/logger.js';
import type { ExportSpec } from '../reactor/messages.js';
import { BlobPool } from './blob-pool.js';
import { marksOf } from './fingerprint.js';
import { openImage, type OpenImage } from './image-opener.js';
import { planImage } from './image-plan.js';
import { partitionedImage } from './partitioned-image.js';

/** Export name to the paths that make its image. */
export type ExportPaths = ReadonlyMap<string, readonly string[]>;

/** An open image. Whoever got it releases it, once. */
export interface HeldImage {
  /** Unique in this process. */
  readonly key: string;
  /** As they were given: a configuration, or blobs, bottom first. */
  readonly paths: readonly string[];
  /** Of a partition table in it; null: all of it. */
  readonly partition: number | null;
  readonly fingerprint: string;
  readonly image: OpenImage;
}

interface Entry extends HeldImage {
  readonly identity: string;
  holders: number;
}

export class ImageTable {
  readonly #log: Logger;
  readonly #publish: (exports: readonly ExportSpec[]) => void;
  readonly #readers = new ReaderFactory();
  readonly #pool = new BlobPool(this.#readers);
  readonly #entries = new Set<Entry>();
  #exports: ReadonlyMap<string, HeldImage> = new Map();
  readonly #hidden = new Map<string, HeldImage>();
  #nextKey = 1;

  /** @param publish gives the reactors the exports, in place of those before */
  constructor(log: Logger, publish: (exports: readonly ExportSpec[]) => void) {
    this.#log = log;
    this.#publish = publish;
  }

  get exports(): ReadonlyMap<string, HeldImage> {
    return this.#exports;
  }

  /**
   * Serves these exports in place of those before. What is the same image as before stays open.
   * @returns the images that are not exported any longer; release them once nobody reads from them
   * @throws OverlaybdError when one cannot be opened; the exports are as before then
   */
  async setExports(exports: ExportPaths): Promise<HeldImage[]> {
    const opened = new Map<string, HeldImage>();
    try {
      for (const [name, paths] of exports) opened.set(name, await this.open(paths));
    } catch (error) {
      for (const held of opened.values()) this.release(held);
      throw error;
    }
    const before = this.#exports;
    this.#exports = opened;
    for (const [name, held] of opened) {
      if (before.get(name)?.key === held.key) continue;
      const { name: image, description, size } = held.image;
      this.#log.log(
        'info',
        `export ${JSON.stringify(name)}: ${image}: ${description}, ${size} bytes`,
        { export: name, image, size },
      );
    }
    this.#republish();
    return [...before.values()];
  }

  /** Makes the image known to the reactors under its key. Clients do not see it. */
  hide(held: HeldImage): void {
    this.#hidden.set(held.key, held);
    this.#republish();
  }

  unhide(held: HeldImage): void {
    if (this.#hidden.delete(held.key)) this.#republish();
  }

  /**
   * @param partition only that one of the image
   * @throws OverlaybdError when it cannot be opened
   */
  async open(paths: readonly string[], partition: number | null = null): Promise<HeldImage> {
    const plan = await planImage(paths);
    const marks = await marksOf(plan);
    const part = partition === null ? '' : ` partition ${partition}`;
    const fingerprint = marks.fingerprint + part;
    const identity = marks.identity + part;
    // An upper may be written to at any time. Others must be the same files: a fingerprint does not
    // look at all of their bytes.
    const shared = plan.upper ? undefined : this.#find(identity);
    if (shared) {
      shared.holders++;
      return shared;
    }
    for (const note of plan.notes) this.#log.log('warn', note);
    const whole = await openImage(plan, this.#pool);
    const image = await partitionedImage(whole, partition, this.#readers);
    const key = `image:${this.#nextKey++}`;
    const entry = { key, paths, partition, fingerprint, identity, image, holders: 1 };
    this.#entries.add(entry);
    return entry;
  }

  release(held: HeldImage): void {
    const entry = held as Entry;
    if (--entry.holders > 0) return;
    this.#entries.delete(entry);
    entry.image.close();
  }

  /** Closes everything, whoever holds it: the reactors are gone. */
  close(): void {
    for (const { image } of this.#entries) image.close();
    this.#entries.clear();
  }

  #find(identity: string): Entry | undefined {
    return [...this.#entries].find((entry) => entry.identity === identity);
  }

  #republish(): void {
    this.#publish([
      ...[...this.#exports].map(([name, held]) => specOf(name, held, false)),
      ...[...this.#hidden].map(([key, held]) => specOf(key, held, true)),
    ]);
  }
}

function specOf(name: string, { image }: HeldImage, hidden: boolean): ExportSpec {
  return { name, description: image.description, device: image.device, hidden };
}
