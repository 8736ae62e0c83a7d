// Reads the tree of a layer from an archive that is at hand, or can be fetched: its headers, and little more.

import { readInto, type BlobSource } from '../blob/source.js';
import type { Effort } from '../lib/effort.js';
import type { LayerTree } from '../tree/layer-tree.js';
import { parseTar, type Given, type Wanted } from './parser.js';

/** A header is as much work as this many entries of an index. */
const UNITS_A_HEADER = 16;
/** Headers between two turns of other work. */
const HEADERS_A_TURN = 256;

/** Bytes of one read. It grows where headers are close together: small files are cheaper to read than to skip. */
const SMALLEST_READ = 16 * 1024;
const LARGEST_READ = 1024 * 1024;

/**
 * Reads the tree of an archive.
 * @throws OverlaybdError BAD_FORMAT, LIMIT or UNSUPPORTED, and what the source and the effort throw
 */
export async function readArchive(source: BlobSource, effort: Effort): Promise<LayerTree> {
  const parser = parseTar(source.name, effort);
  const window = new Window(source);
  let step = parser.next();
  for (let headers = 0; !step.done; headers++) {
    if (headers % HEADERS_A_TURN === 0) {
      effort.spend(UNITS_A_HEADER * HEADERS_A_TURN);
      await effort.turn();
    }
    step = parser.next(window.find(step.value) ?? (await window.read(step.value)));
  }
  return step.value;
}

/** The part of an archive that was read last. */
class Window {
  readonly #source: BlobSource;
  #bytes = Buffer.alloc(0);
  #offset = 0;
  #size = SMALLEST_READ;

  constructor(source: BlobSource) {
    this.#source = source;
  }

  /** @returns null if the bytes must be read */
  find({ offset, length }: Wanted): Given | null {
    const at = offset - this.#offset;
    if (at + length > this.#bytes.length) return null;
    return { bytes: this.#bytes.subarray(at, at + length), end: this.#source.size };
  }

  async read({ offset, length }: Wanted): Promise<Given> {
    const end = this.#source.size;
    const isNear = offset < this.#offset + this.#bytes.length + this.#size;
    this.#size = isNear ? Math.min(2 * this.#size, LARGEST_READ) : SMALLEST_READ;
    const size = Math.max(0, Math.min(Math.max(this.#size, length), end - offset));
    this.#bytes = Buffer.allocUnsafeSlow(size);
    this.#offset = offset;
    if (size > 0) await readInto(this.#source, offset, this.#bytes);
    return { bytes: this.#bytes.subarray(0, length), end };
  }
}
