// Opens a composefs image: an EROFS image whose files are objects of a store, named by extended attributes for overlayfs. What
// those say becomes a tree of real files, and a table of what has their contents.

import { realpath } from 'node:fs/promises';
import { fileExists } from '../blob/file-jobs.js';
import type { BlobSource } from '../blob/source.js';
import { OverlaybdError, messageOf } from '../errors.js';
import { isErofs } from '../erofs/reader/superblock.js';
import { ErofsImage } from '../erofs/reader/image.js';
import { addTree, type TreeRules } from '../erofs/reader/layer-tree.js';
import { counted } from '../lib/counted.js';
import { errorOf } from '../lib/fault.js';
import type { Effort } from '../lib/effort.js';
import { LayerTreeBuilder } from '../tree/builder.js';
import type { LayerTree } from '../tree/layer-tree.js';
import { FileReader } from './file-contents.js';
import { isHidingDevice, restored } from './escapes.js';
import { objectPath } from './open-objects.js';
import {
  NO_NAME,
  objectAt,
  ObjectPlaces,
  ObjectTableBuilder,
  type ObjectTable,
} from './object-table.js';
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
  const tree = new LayerTreeBuilder({ name, hasWhiteouts: false, effort });
  const table = new ObjectTableBuilder(name, (bytes) => image.spend(bytes), effort);
  const left = await addTree(image, tree, rulesOf(image, table), effort);
  if (table.objects > 0 && store === null) {
    const what = counted(table.objects, 'file');
    const text = `${name}: a composefs image with the contents of ${what} in a folder of objects: name that folder with --objects`;
    throw new OverlaybdError('UNSUPPORTED', text, { facts: { blob: name } });
  }
  const notes: string[] = [];
  if (table.unchecked > 0) {
    const what = counted(table.unchecked, 'object');
    notes.push(`${name}: ${what} without a digest: the contents of their files are not verified`);
  }
  if (table.missing > 0) {
    const what = counted(table.missing, 'file');
    notes.push(`${name}: ${what} with neither contents nor an object: reads of them fail`);
  }
  if (left > 0) notes.push(`${name}: ${counted(left, 'socket')} left out`);
  const finished = table.finish();
  const folder = store === null ? null : await realStore(store);
  if (folder !== null && table.objects > 0 && !(await hasSomeObject(folder, finished))) {
    notes.push(
      `${name}: ${store} has none of the first objects of the image: is it the right folder?`,
    );
  }
  return {
    tree: tree.finish(),
    objectCount: table.objects,
    objects: { kind: 'objects', name, table: finished, store: folder },
    notes,
  };
}

/** What composefs makes of the inodes of an image: marks of overlayfs are gone, and contents are objects. */
function rulesOf(image: ErofsImage, table: ObjectTableBuilder): TreeRules {
  const files = new FileReader(image, table);
  return {
    isHidden: isHidingDevice,
    sawFolder: (entry) => table.addFolder(entry),
    usualDataOf: (entry, effort) => files.usualDataOf(entry, effort),
    dataOf: (entry, xattrs) => files.dataOf(entry, xattrs),
    changed: (draft) => {
      if (!draft.xattrs || draft.xattrs.size === 0) return draft;
      const { xattrs, isWhiteout } = restored(draft.xattrs);
      draft.xattrs = xattrs;
      // What overlayfs would take for a whiteout is stored as an empty file.
      if (isWhiteout && draft.type === 'reg' && draft.size === 0) {
        draft.type = 'char';
        draft.rdev = { major: 0, minor: 0 };
      }
      return draft;
    },
  };
}

/** As many of the first entries of the table are looked at. */
const FIRST_ENTRIES = 16;

/** Whether a folder has one of the first objects of an image, or these have no names. @throws OverlaybdError IO */
async function hasSomeObject(store: string, table: ObjectTable): Promise<boolean> {
  const places = new ObjectPlaces(table);
  let isMissing = false;
  for (let i = 0; i < Math.min(table.count, FIRST_ENTRIES); i++) {
    if (places.imageOffset(i) !== null) continue;
    const object = objectAt(table, i);
    if (object.name === NO_NAME) continue;
    if (await fileExists(objectPath(store, object))) return true;
    isMissing = true;
  }
  return !isMissing;
}

/** @throws OverlaybdError NOT_FOUND, BAD_ARGUMENT if it is no folder, IO */
async function realStore(store: string): Promise<string> {
  const missing = `${store}: there is no such folder of objects`;
  if (!(await fileExists(store))) throw new OverlaybdError('NOT_FOUND', missing);
  if (!(await fileExists(`${store}/.`))) {
    const why = 'not a folder: --objects names the folder of objects';
    throw errorOf('BAD_ARGUMENT', { path: store }, why);
  }
  try {
    const real = await realpath(store);
    return real === '/' ? '' : real;
  } catch (cause) {
    throw new OverlaybdError('IO', `${store}: ${messageOf(cause)}`, { cause });
  }
}
