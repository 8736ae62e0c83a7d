// Opens a composefs image: an EROFS image whose files are objects of a store, named by extended attributes for overlayfs. What
// those say becomes a tree of real files, and a table of what has their contents.

import { realpath } from 'node:fs/promises';
import { fileExists } from '../blob/file-jobs.js';
import type { BlobSource } from '../blob/source.js';
import { OverlaybdError, messageOf } from '../errors.js';
import { isErofs } from '../erofs/reader/superblock.js';
import { ErofsImage, type VisitedEntry } from '../erofs/reader/image.js';
import { counted } from '../lib/counted.js';
import type { Effort } from '../lib/effort.js';
import { LayerTreeBuilder, type EntryDraft } from '../tree/builder.js';
import { entryError } from '../tree/entry-error.js';
import type { LayerTree } from '../tree/layer-tree.js';
import { FileReader } from './file-contents.js';
import { isHidingDevice, restored } from './escapes.js';
import { ObjectTableBuilder, tableBytes } from './object-table.js';
import type { ObjectsSpec } from './objects-source.js';

/** The first word of an image. */
const MAGIC = 0xd078_629a;
const VERSION = 1;
const VERSION_AT = 4;

export interface OpenedComposefs {
  readonly tree: LayerTree;
  readonly objects: ObjectsSpec;
  /** Different objects. */
  readonly objectCount: number;
  /** Sentences for people. */
  readonly notes: readonly string[];
}

/** @param head the first bytes of a blob */
export function isComposefs(head: Buffer): boolean {
  return isErofs(head) && head.readUInt32LE(0) === MAGIC;
}

/**
 * Opens an image for which {@link isComposefs} is true.
 * @param store the path of the folder with its objects; null if nothing names it
 * @throws OverlaybdError BAD_FORMAT, LIMIT, UNSUPPORTED, NOT_FOUND if there is no such folder, and what reading throws
 */
export async function openComposefs(
  source: BlobSource,
  store: string | null,
  effort: Effort,
): Promise<OpenedComposefs> {
  const { name } = source;
  const image = await ErofsImage.read(source, effort);
  const version = image.bytes.readUInt32LE(VERSION_AT);
  if (version !== VERSION) {
    const text = `${name}: composefs of version ${version}; only version ${VERSION} is supported`;
    throw new OverlaybdError('UNSUPPORTED', text, { facts: { blob: name } });
  }
  const tree = new LayerTreeBuilder({ name, hasWhiteouts: false });
  const table = new ObjectTableBuilder(name);
  const left = await readTree(image, tree, table, effort);
  if (table.objects > 0 && store === null) {
    const what = counted(table.objects, 'file');
    const text = `${name}: a composefs image with the contents of ${what} in another place: name the folder of the objects with --objects`;
    throw new OverlaybdError('UNSUPPORTED', text, { facts: { blob: name } });
  }
  const notes: string[] = [];
  if (table.unchecked > 0) {
    const what = counted(table.unchecked, 'object');
    notes.push(`${name}: ${what} without a digest: what their files contain is not verified`);
  }
  if (left > 0) notes.push(`${name}: ${counted(left, 'socket')} left out`);
  const finished = table.finish();
  effort.keep(tableBytes(finished), name);
  return {
    tree: tree.finish(),
    objectCount: table.objects,
    objects: {
      kind: 'objects',
      name,
      table: finished,
      store: store === null ? null : await realStore(store),
    },
    notes,
  };
}

const TYPES: Readonly<Record<number, EntryDraft['type'] | 'socket'>> = {
  0o010000: 'fifo',
  0o020000: 'char',
  0o040000: 'dir',
  0o060000: 'block',
  0o100000: 'reg',
  0o120000: 'symlink',
  0o140000: 'socket',
};
const TYPE = 0o170000;

/** @returns how many sockets are left out: only the program that made one can use it */
async function readTree(
  image: ErofsImage,
  tree: LayerTreeBuilder,
  table: ObjectTableBuilder,
  effort: Effort,
): Promise<number> {
  const files = new FileReader(image, table);
  const firstNames = new Map<number, string>();
  let sockets = 0;
  await image.walk(effort, (entry) => {
    const { path, inode } = entry;
    const place = { path, position: inode.at };
    const type = TYPES[inode.mode & TYPE];
    if (type === undefined) {
      const text = `an unknown type: mode 0${inode.mode.toString(8)}`;
      throw entryError('BAD_FORMAT', image.blob, place, text);
    }
    if (type === 'dir') table.addFolder(entry);
    if (type === 'socket') {
      sockets++;
      return;
    }
    if (isHidingDevice(entry)) return;
    if (type !== 'dir' && inode.nlink > 1) {
      const target = firstNames.get(inode.nid);
      if (target !== undefined) {
        tree.add({ ...place, type: 'hardlink', target });
        return;
      }
      firstNames.set(inode.nid, path);
    }
    tree.add(draftOf(image, entry, type, files, effort));
  });
  return sockets;
}

function draftOf(
  image: ErofsImage,
  entry: VisitedEntry,
  type: EntryDraft['type'],
  files: FileReader,
  effort: Effort,
): EntryDraft {
  const { path, inode } = entry;
  const { mode, uid, gid, mtime, mtimeNs, size } = inode;
  const stored = image.xattrsOf(inode, effort);
  const { xattrs, isWhiteout } = restored(stored);
  const common = {
    path,
    mode: mode & 0o7777,
    uid,
    gid,
    mtime,
    mtimeNs,
    xattrs,
    position: inode.at,
  };
  // What overlayfs would take for a whiteout is stored as an empty file.
  if (isWhiteout && type === 'reg' && size === 0) {
    return { ...common, type: 'char', rdev: { major: 0, minor: 0 } };
  }
  if (type === 'reg') return { ...common, type, size, data: files.dataOf(entry, stored) };
  if (type === 'symlink') return { ...common, type, target: image.targetOf(inode) };
  if (type === 'char' || type === 'block') {
    return { ...common, type, rdev: deviceNumber(inode.place) };
  }
  return { ...common, type };
}

/** Of the kernel's own form. */
function deviceNumber(word: number): { major: number; minor: number } {
  return { major: (word >>> 8) & 0xfff, minor: (word & 0xff) | ((word >>> 12) & 0xfff00) };
}

/** @throws OverlaybdError NOT_FOUND, IO */
async function realStore(store: string): Promise<string> {
  const missing = `${store}: there is no such folder of objects`;
  if (!(await fileExists(store))) throw new OverlaybdError('NOT_FOUND', missing);
  try {
    const real = await realpath(store);
    return real === '/' ? '' : real;
  } catch (cause) {
    throw new OverlaybdError('IO', `${store}: ${messageOf(cause)}`, { cause });
  }
}
