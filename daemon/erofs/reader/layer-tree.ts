// From the inodes of an EROFS image that another program has made to the tree of a layer. Where files have their contents, and
// which of the attributes count, the format says that uses the image.

import type { Effort } from '../../lib/effort.js';
import type { LayerTreeBuilder } from '../../tree/builder.js';
import { deviceOfWord, typeOfMode, type FileType } from '../../tree/file-types.js';
import { fullDraft, type FullDraft } from '../../tree/full-draft.js';
import type { DataRange } from '../../tree/layer-tree.js';
import type { ErofsImage, VisitedEntry } from './image.js';

/** Heap for the first name of a file with several names, without its characters. */
const FIRST_NAME_BYTES = 80;

/** What a format makes of the inodes of an image. */
export interface TreeRules {
  /** Whether an entry, with all of its names, is not part of the tree; absent: all are. */
  isHidden?(entry: VisitedEntry): boolean;
  /** Gets each directory, before what is in it. */
  sawFolder?(entry: VisitedEntry): void;
  /**
   * The contents of a regular file whose xattrs say where they are, and nothing else: the tree has none of them. So most files of an
   * image need no map of their xattrs.
   * @returns null if it may be another file: then {@link dataOf} is asked
   * @throws OverlaybdError as that does, and what the effort throws
   */
  usualDataOf?(entry: VisitedEntry, effort: Effort): readonly DataRange[] | null;
  /**
   * The contents of a regular file.
   * @param xattrs as the image has them
   * @throws OverlaybdError if they cannot be served
   */
  dataOf(entry: VisitedEntry, xattrs: ReadonlyMap<string, Uint8Array>): readonly DataRange[];
  /** What the tree has instead of a draft; `draft.xattrs` are those of the image. Absent: the draft. */
  changed?(draft: FullDraft): FullDraft;
}

/**
 * Adds all that can be reached from the root.
 * @returns how many sockets are left out: only the program that made one can use it
 * @throws OverlaybdError BAD_FORMAT, LIMIT, UNSUPPORTED, and what the rules and the effort throw
 */
export async function addTree(
  image: ErofsImage,
  tree: LayerTreeBuilder,
  rules: TreeRules,
  effort: Effort,
): Promise<number> {
  const firstNames = new Map<number, string>();
  let sockets = 0;
  await image.walk(effort, (entry) => {
    const { path, inode } = entry;
    const place = { path, position: inode.at };
    const type = typeOfMode(inode.mode);
    if (type === undefined) {
      const text = `an unknown type: mode 0${inode.mode.toString(8)}`;
      throw image.badEntry('BAD_FORMAT', entry, text);
    }
    if (type === 'dir') rules.sawFolder?.(entry);
    if (type === 'socket') {
      sockets++;
      return;
    }
    if (rules.isHidden?.(entry)) return;
    if (type !== 'dir' && inode.nlink > 1) {
      const target = firstNames.get(inode.nid);
      if (target !== undefined) {
        tree.add({ ...place, type: 'hardlink', target });
        return;
      }
      image.spend(FIRST_NAME_BYTES + path.length);
      firstNames.set(inode.nid, path);
    }
    const draft = draftOf(image, entry, type, rules, effort);
    tree.add(rules.changed?.(draft) ?? draft);
  });
  return sockets;
}

function draftOf(
  image: ErofsImage,
  entry: VisitedEntry,
  type: FileType,
  rules: TreeRules,
  effort: Effort,
): FullDraft {
  const { path, inode } = entry;
  const draft = fullDraft(path, type, inode.at, inode);
  const usual = type === 'reg' ? rules.usualDataOf?.(entry, effort) : null;
  if (usual) {
    draft.size = inode.size;
    draft.data = usual;
    return draft;
  }
  const xattrs = image.xattrsOf(inode, effort);
  draft.xattrs = xattrs;
  switch (type) {
    case 'reg':
      draft.size = inode.size;
      draft.data = rules.dataOf(entry, xattrs);
      return draft;
    case 'symlink':
      draft.target = image.targetOf(inode);
      return draft;
    case 'char':
    case 'block':
      draft.rdev = deviceOfWord(inode.place);
      return draft;
    case 'dir':
    case 'fifo':
      return draft;
  }
}
