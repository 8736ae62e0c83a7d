// The table of contents of a ztoc as the tree of a layer: the entries of the archive, in its order.

import type { OverlaybdError } from '../errors.js';
import type { Effort } from '../lib/effort.js';
import { quoted, shortened } from '../lib/printable.js';
import { PaxRecords } from '../tarball/pax.js';
import { LayerTreeBuilder } from '../tree/builder.js';
import { fullDraft, type FullDraft } from '../tree/full-draft.js';
import { entryError } from '../tree/entry-error.js';
import type { LayerTree } from '../tree/layer-tree.js';
import { parseTime } from '../tree/times.js';
import type { FlatTable, FlatVector } from './flatbuffer.js';

/** Fields of an entry by their numbers. */
const ENTRY = {
  name: 0,
  type: 1,
  offset: 2,
  size: 3,
  target: 4,
  mode: 5,
  uid: 6,
  gid: 7,
  time: 10,
  major: 11,
  minor: 12,
  records: 13,
} as const;
/** All records of the extended headers of an entry, xattrs among them. */
const RECORD = { key: 0, value: 1 } as const;
const SPARSE = 'GNU.sparse.';
const BLOCK = 512;
/** Entries that are read before the thread does something else. */
const ENTRIES_A_TURN = 2000;
/** To read an entry is as much work as to read this many entries of an index. */
const UNITS_AN_ENTRY = 16;

export interface TocOptions {
  /** Of the layer's blob, for messages. */
  readonly blob: string;
  /** Bytes of the archive. */
  readonly archiveSize: number;
  readonly effort: Effort;
}

/** @throws OverlaybdError BAD_FORMAT, LIMIT, UNSUPPORTED, with the entry */
export async function readToc(
  entries: FlatVector<FlatTable>,
  options: TocOptions,
): Promise<LayerTree> {
  const { blob, archiveSize, effort } = options;
  const tree = new LayerTreeBuilder({ name: blob, hasWhiteouts: true, effort });
  const places = new Places(blob, archiveSize);
  for (let i = 0; i < entries.count; i++) {
    if (i % ENTRIES_A_TURN === 0) {
      effort.spend(UNITS_AN_ENTRY * Math.min(ENTRIES_A_TURN, entries.count - i));
      await effort.turn();
    }
    const draft = draftOf(entries.at(i), blob);
    tree.add(draft);
    places.add(draft);
  }
  places.check();
  return tree.finish();
}

function draftOf(entry: FlatTable, blob: string): FullDraft {
  const path = entry.text(ENTRY.name);
  const offset = entry.whole(ENTRY.offset, 'place in the archive');
  const place = { path, position: offset };
  const time = entry.text(ENTRY.time);
  const parsed = time === '' ? { seconds: 0, nanoseconds: 0 } : parseTime(time);
  if (!parsed) {
    throw entryError('BAD_FORMAT', blob, place, `expected a time, got ${shown(time)}`);
  }
  const xattrs = xattrsOf(entry, blob, place);
  const draft = fullDraft(path, 'reg', offset, {
    mode: entry.whole(ENTRY.mode, 'mode') % 0o10000,
    uid: entry.uint32(ENTRY.uid),
    gid: entry.uint32(ENTRY.gid),
    mtime: parsed.seconds,
    mtimeNs: parsed.nanoseconds,
    xattrs,
  });
  const type = entry.text(ENTRY.type);
  switch (type) {
    case 'dir':
    case 'fifo':
      draft.type = type;
      return draft;
    case 'reg': {
      const size = entry.whole(ENTRY.size, 'size of a file');
      draft.size = size;
      if (size > 0) draft.data = [{ fileOffset: 0, length: size, source: 0, offset }];
      return draft;
    }
    case 'symlink':
    case 'hardlink':
      draft.type = type;
      draft.target = entry.text(ENTRY.target);
      return draft;
    case 'char':
    case 'block': {
      const major = entry.whole(ENTRY.major, 'major number');
      draft.type = type;
      draft.rdev = { major, minor: entry.whole(ENTRY.minor, 'minor number') };
      return draft;
    }
    default: {
      const text = `its type is ${shown(type)}, which is not supported`;
      throw entryError('UNSUPPORTED', blob, place, text);
    }
  }
}

/** @returns null if there are none */
function xattrsOf(
  entry: FlatTable,
  blob: string,
  place: Pick<FullDraft, 'path' | 'position'>,
): Map<string, Uint8Array> | null {
  const records = entry.tables(ENTRY.records);
  if (records.count === 0) return null;
  const values = new Map<string, string>();
  for (let i = 0; i < records.count; i++) {
    const record = records.at(i);
    const key = record.text(RECORD.key);
    if (key.startsWith(SPARSE)) {
      const text = 'a sparse file: a ztoc does not say where its data are';
      throw entryError('UNSUPPORTED', blob, place, text);
    }
    values.set(key, record.text(RECORD.value));
  }
  return new PaxRecords(values, []).xattrs({ blob, offset: place.position });
}

/** Where the data of entries are in the archive: a header precedes each, so that they do not overlap. */
class Places {
  readonly #blob: string;
  readonly #archiveSize: number;
  readonly #drafts: { readonly path: string; readonly position: number; readonly end: number }[] =
    [];
  #isInOrder = true;

  constructor(blob: string, archiveSize: number) {
    this.#blob = blob;
    this.#archiveSize = archiveSize;
  }

  add({ path, position, size }: FullDraft): void {
    const end = position + size;
    if (end > this.#archiveSize) {
      const text = `expected its data to end within the archive of ${this.#archiveSize} bytes, got ${end}`;
      throw entryError('BAD_FORMAT', this.#blob, { path, position }, text);
    }
    const last = this.#drafts.at(-1);
    this.#isInOrder &&= last === undefined || last.position <= position;
    this.#drafts.push({ path, position, end });
  }

  /** @throws OverlaybdError BAD_FORMAT */
  check(): void {
    if (!this.#isInOrder) this.#drafts.sort((a, b) => a.position - b.position);
    let end = 0;
    for (const draft of this.#drafts) {
      if (draft.position < Math.ceil(end / BLOCK) * BLOCK + BLOCK) throw this.#overlap(draft, end);
      end = draft.end;
    }
  }

  #overlap(draft: { path: string; position: number }, end: number): OverlaybdError {
    const text = `expected a header before its data, after the data of another entry up to byte ${end}`;
    return entryError('BAD_FORMAT', this.#blob, draft, text);
  }
}

function shown(text: string): string {
  return quoted(shortened(text, 64));
}
