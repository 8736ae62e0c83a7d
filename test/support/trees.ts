// Trees of layers for tests, and what a merged one looks like as text.
import { LayerTreeBuilder, type EntryDraft } from '../../daemon/tree/builder.js';
import type { LayerTree } from '../../daemon/tree/layer-tree.js';
import { mergeLayers } from '../../daemon/tree/merge.js';
import { ROOT, type MergedTree } from '../../daemon/tree/merged-tree.js';

export function treeOf(drafts: readonly EntryDraft[], name = 'layer'): LayerTree {
  const builder = new LayerTreeBuilder({ name, hasWhiteouts: true });
  for (const draft of drafts) builder.add(draft);
  return builder.finish();
}

/**
 * Entries from lines of text: "dir/" is a directory, "a -> b" a symlink, "a = b" a hard link, everything else an empty
 * file. Whiteouts have their names in an archive. "@7" at the end of a line sets the owner.
 */
export function layerOf(...lines: readonly string[]): LayerTree {
  return treeOf(lines.map(draftOf));
}

function draftOf(line: string): EntryDraft {
  const [text = '', uid = '0'] = line.split(' @');
  const [path = '', sign, target = ''] = text.split(' ');
  const owner = { uid: Number(uid), gid: 0, mode: 0o644 };
  if (sign === '->') return { ...owner, path, type: 'symlink', target };
  if (sign === '=') return { ...owner, path, type: 'hardlink', target };
  return { ...owner, path, type: path.endsWith('/') ? 'dir' : 'reg' };
}

/** Merged layers as lines in the order of a walk: "dir/", "a -> b", "a = first name"; "@7" if the owner is not 0. */
export function mergedLines(...layers: readonly LayerTree[]): string[] {
  return linesOf(mergeLayers(layers));
}

export function linesOf(tree: MergedTree): string[] {
  const lines: string[] = [];
  const first = new Map<number, string>();
  const visit = (directory: number, prefix: string): void => {
    const names = tree.directoryOf(directory) as ReadonlyMap<string, number>;
    for (const name of [...names.keys()].toSorted()) {
      const inode = names.get(name) as number;
      const path = prefix + name;
      const known = first.get(inode);
      first.set(inode, known ?? path);
      lines.push(lineOf(tree, inode, path, known));
      if (tree.directoryOf(inode)) visit(inode, `${path}/`);
    }
  };
  visit(ROOT, '');
  return lines;
}

function lineOf(tree: MergedTree, inode: number, path: string, known: string | undefined): string {
  if (known !== undefined) return `${path} = ${known}`;
  const type = tree.typeOf(inode);
  const entry = tree.inodes.entries[inode] as number;
  const layer = tree.layerOf(inode);
  const uid = entry < 0 ? 0 : (layer.columns.uids[entry] as number);
  const owner = uid === 0 ? '' : ` @${uid}`;
  if (type === 'dir') return `${path}/${owner}`;
  if (type === 'symlink') return `${path} -> ${layer.targetOf(entry)}${owner}`;
  return type === 'reg' ? path + owner : `${path} (${type})${owner}`;
}
