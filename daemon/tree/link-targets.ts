// The targets of the links of a layer, in memory outside of the heap: hostile links may have 256 MiB of them.

import { uncountedColumns, type CountedColumns } from '../lib/counted-columns.js';
import { TextColumn } from './text-column.js';

export class LinkTargets {
  readonly #columns: CountedColumns;
  #texts: TextColumn;
  /** The entries that are links, in their order. */
  #entries: Uint32Array = new Uint32Array(64);

  /** @param columns announces its memory */
  constructor(columns = uncountedColumns()) {
    this.#columns = columns;
    this.#texts = new TextColumn(columns);
  }

  /** @param entry after all others */
  add(entry: number, target: string): void {
    const i = this.#texts.length;
    this.#entries = this.#columns.grown(this.#entries, i);
    this.#entries[i] = entry;
    this.#texts.add(target);
  }

  /** Nothing is added any more. */
  finish(): void {
    this.#texts.finish();
    this.#entries = this.#columns.trimmed(this.#entries, this.#texts.length);
  }

  /** Bytes of memory. */
  get memory(): number {
    return this.#entries.byteLength + this.#texts.memory;
  }

  /** undefined if the entry is no link. */
  get(entry: number): string | undefined {
    let from = 0;
    let to = this.#texts.length;
    while (from < to) {
      const middle = (from + to) >>> 1;
      if ((this.#entries[middle] as number) < entry) from = middle + 1;
      else to = middle;
    }
    return from < this.#texts.length && this.#entries[from] === entry
      ? this.#texts.at(from)
      : undefined;
  }

  /** As a record has them: the entries, and the texts as {@link TextColumn.parts}. */
  parts(): {
    readonly entries: Uint32Array;
    readonly lengths: Uint32Array;
    readonly bytes: Uint8Array;
  } {
    const count = this.#texts.length;
    return { entries: this.#entries.subarray(0, count), ...this.#texts.parts(count) };
  }

  /** @param entries ascending; one for each length */
  static of(entries: Uint32Array, lengths: Uint32Array, bytes: Uint8Array): LinkTargets {
    const targets = new LinkTargets();
    targets.#entries = entries;
    targets.#texts = TextColumn.of(lengths, bytes);
    return targets;
  }
}
