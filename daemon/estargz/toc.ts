// A table of contents as a tree and a table of pieces.

import { OverlaybdError } from '../errors.js';
import { JSON_BYTES_A_UNIT, type Effort } from '../lib/effort.js';
import { quoted, shortened } from '../lib/printable.js';
import { PieceTableBuilder, type PieceTable } from '../pieces/piece-table.js';
import { LayerTreeBuilder, type EntryDraft } from '../tree/builder.js';
import { entryError } from '../tree/entry-error.js';
import { fullDraft } from '../tree/full-draft.js';
import type { DataRange, LayerTree } from '../tree/layer-tree.js';
import { cleanPath } from '../tree/names.js';
import { FileEntry, type FilePiece, type PieceRules } from './file-entry.js';
import { HardLinks } from './hard-links.js';
import { jsonEntries, type JsonEntry } from './json-entries.js';
import { byteString, TocEntry } from './toc-entry.js';

/** Entries that are read before the thread does something else. */
const ENTRIES_A_TURN = 2000;
/** In the root, these are the format's own. */
const PREFETCH_LANDMARK = '.prefetch.landmark';
const OWN_FILES: ReadonlySet<string> = new Set([
  PREFETCH_LANDMARK,
  '.no.prefetch.landmark',
  'stargz.index.json',
]);

export interface TocOptions extends PieceRules {
  /** The layer's blob, for messages. */
  readonly blob: string;
  readonly effort: Effort;
}

export interface Toc {
  readonly tree: LayerTree;
  readonly table: PieceTable;
  /** Pieces that are stored and have no digest. */
  readonly unchecked: number;
  /** What the image wants to be fetched before it is read: the blob up to this byte. 0: nothing. */
  readonly prefetchEnd: number;
}

/**
 * Reads a table of contents.
 * @throws OverlaybdError BAD_FORMAT, LIMIT, UNSUPPORTED, with the entry
 */
export async function readToc(json: Buffer, options: TocOptions): Promise<Toc> {
  const { blob, effort } = options;
  effort.spend(Math.ceil(json.length / JSON_BYTES_A_UNIT));
  const reader = new TocReader(options);
  let entries = 0;
  for (const entry of jsonEntries(json, blob)) {
    reader.add(entry);
    if (++entries % ENTRIES_A_TURN !== 0) continue;
    const turn = effort.turn();
    if (turn) await turn;
  }
  return reader.finish();
}

class TocReader {
  readonly #options: TocOptions;
  readonly #tree: LayerTreeBuilder;
  readonly #pieces: PieceTableBuilder;
  readonly #links: HardLinks;
  /** The file whose pieces may go on. */
  #file: FileEntry | null = null;
  /** Where it begins in the source. */
  #offset = 0;
  #unchecked = 0;
  #prefetchEnd = 0;

  constructor(options: TocOptions) {
    const { blob, effort } = options;
    this.#options = options;
    this.#tree = new LayerTreeBuilder({ name: blob, hasWhiteouts: true, effort });
    this.#pieces = new PieceTableBuilder(blob, effort);
    this.#links = new HardLinks(blob, this.#tree);
  }

  add(json: JsonEntry): void {
    const entry = new TocEntry(json, this.#options.blob);
    if (entry.type === 'chunk') {
      if (!this.#file) throw entry.bad('a chunk that follows no file');
      for (const piece of this.#file.chunk(entry)) this.#addPiece(this.#file, piece);
      return;
    }
    this.#endFile();
    const path = cleanPath(entry.path);
    if (path === PREFETCH_LANDMARK) {
      this.#prefetchEnd = Math.min(entry.whole('offset'), this.#options.end);
    }
    if (OWN_FILES.has(path)) return;
    if (entry.type === 'reg') {
      this.#file = new FileEntry(entry, this.#options);
      this.#offset = this.#pieces.align();
      return;
    }
    if (entry.type === 'hardlink') {
      const target = cleanPath(byteString(entry.text('linkName')));
      this.#links.add({ path, target, position: entry.position }, entry.attributes());
      return;
    }
    this.#links.replaced(path);
    this.#tree.add(draftOf(entry));
  }

  finish(): Toc {
    this.#endFile();
    // A link may precede its target.
    for (const draft of this.#links.resolved()) this.#tree.add(draft);
    const table = this.#pieces.finish(this.#options.end);
    return {
      tree: this.#tree.finish(),
      table,
      unchecked: this.#unchecked,
      prefetchEnd: this.#prefetchEnd,
    };
  }

  #endFile(): void {
    const file = this.#file;
    this.#file = null;
    if (!file) return;
    const { entry, size } = file;
    this.#links.replaced(cleanPath(entry.path));
    const only = file.end();
    if (only) this.#addPiece(file, only);
    const offset = this.#offset;
    const data = size > 0 ? [{ fileOffset: 0, length: size, source: 0, offset }] : [];
    this.#tree.add(draftOf(entry, size, data));
  }

  #addPiece({ entry }: FileEntry, piece: FilePiece): void {
    if (piece.kind === 'zeros') {
      this.#pieces.addZeros(piece.length);
      return;
    }
    if (piece.digest === null) this.#unchecked++;
    try {
      this.#pieces.addStored(piece);
    } catch (error) {
      throw this.#named(error, entry);
    }
  }

  #named(error: unknown, entry: TocEntry): unknown {
    if (!(error instanceof OverlaybdError)) return error;
    return entryError(error.code, this.#options.blob, entry, error.message);
  }
}

/** @param size of a file. @param data of a file */
function draftOf(entry: TocEntry, size = 0, data: readonly DataRange[] = []): EntryDraft {
  const { type, path, position } = entry;
  const draft = fullDraft(path, 'reg', position, entry.attributes());
  switch (type) {
    case 'dir':
    case 'fifo':
      draft.type = type;
      return draft;
    case 'reg':
      draft.size = size;
      draft.data = data;
      return draft;
    case 'symlink':
      draft.type = type;
      draft.target = byteString(entry.text('linkName'));
      return draft;
    case 'char':
    case 'block':
      draft.type = type;
      draft.rdev = { major: entry.whole('devMajor'), minor: entry.whole('devMinor') };
      return draft;
    default: {
      const text = `its type is ${quoted(shortened(type, 64))}, which is not supported`;
      throw entryError('UNSUPPORTED', entry.blob, entry, text);
    }
  }
}
