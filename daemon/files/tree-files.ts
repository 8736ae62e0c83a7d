// The files of an image whose layers are trees of files: attributes come from the merged tree, contents from the layers.
// A content source is opened when the first file in it is read.

import { readInto, type BlobSource } from '../blob/source.js';
import type { DataRange, TreeEntry } from '../tree/layer-tree.js';
import { OPAQUE_MARK, OVERLAY_XATTRS, ROOT, type MergedTree } from '../tree/merged-tree.js';
import { compareBytes } from '../tree/names.js';
import type { ContentPiece, FileStat, ImageFile } from './image-file.js';

/** Bytes that are read at a time. */
const PIECE_SIZE = 1 << 20;

/** Makes the source with this number of the merged tree. */
export type OpenSource = (number: number) => Promise<BlobSource>;

/**
 * The root of an image.
 * @param layers the number in the image of each layer of the tree
 */
export function treeRoot(
  tree: MergedTree,
  openSource: OpenSource,
  layers: readonly number[] = tree.layers.map((_, i) => i),
): ImageFile {
  return new TreeFile({ tree, layers, source: keptSources(openSource) }, ROOT);
}

interface Shared {
  readonly tree: MergedTree;
  readonly layers: readonly number[];
  readonly source: OpenSource;
}

function keptSources(open: OpenSource): OpenSource {
  const kept = new Map<number, Promise<BlobSource>>();
  return (number) => {
    const source = kept.get(number) ?? open(number);
    kept.set(number, source);
    return source;
  };
}

class TreeFile implements ImageFile {
  readonly inode: number;
  readonly #shared: Shared;

  constructor(shared: Shared, inode: number) {
    this.#shared = shared;
    this.inode = inode;
  }

  stat(): Promise<FileStat> {
    const { tree, layers } = this.#shared;
    const { inode } = this;
    const entry = this.#entry();
    const type = tree.typeOf(inode);
    const { uid = 0, gid = 0, mtime = 0, mtimeNs = 0, target = '' } = entry ?? {};
    const isNode = type === 'char' || type === 'block';
    return Promise.resolve({
      type,
      // As on the device: Linux shows every symlink so.
      mode: type === 'symlink' ? 0o777 : tree.modeOf(inode),
      uid,
      gid,
      mtime,
      mtimeNs,
      size: type === 'symlink' ? target.length : (entry?.size ?? 0),
      nlink: tree.inodes.nlinks[inode] as number,
      // A whiteout of one layer alone is the device 0:0.
      rdev: isNode ? (entry?.rdev ?? { major: 0, minor: 0 }) : null,
      target,
      layer: entry ? (layers[tree.inodes.layers[inode] as number] as number) : null,
    });
  }

  names(): Promise<readonly string[]> {
    const directory = this.#shared.tree.directoryOf(this.inode);
    return Promise.resolve([...(directory?.keys() ?? [])].toSorted(compareBytes));
  }

  child(name: string): Promise<ImageFile | null> {
    const inode = this.#shared.tree.directoryOf(this.inode)?.get(name);
    return Promise.resolve(inode === undefined ? null : new TreeFile(this.#shared, inode));
  }

  xattrs(): Promise<ReadonlyMap<string, Uint8Array>> {
    const set = this.#shared.tree.xattrsOf(this.inode);
    const shown = new Map<string, Uint8Array>();
    for (const [name, value] of set?.toMap() ?? []) {
      if (name === OPAQUE_MARK) shown.set(`${OVERLAY_XATTRS}opaque`, value);
      else if (!name.startsWith(OVERLAY_XATTRS)) shown.set(name, value);
    }
    return Promise.resolve(shown);
  }

  async *contents(): AsyncGenerator<ContentPiece> {
    const { tree, source } = this.#shared;
    const base = tree.sourceBases[tree.inodes.layers[this.inode] as number] as number;
    const buffer = Buffer.allocUnsafeSlow(PIECE_SIZE);
    for (const range of this.#entry()?.data ?? []) {
      yield* piecesOf(range, await source(base + range.source), buffer);
    }
  }

  /** Null for a directory without an entry, and for a whiteout. */
  #entry(): TreeEntry | null {
    const { tree } = this.#shared;
    const entry = tree.inodes.entries[this.inode] as number;
    return entry < 0 ? null : tree.layerOf(this.inode).entry(entry);
  }
}

async function* piecesOf(
  { fileOffset, offset, length }: DataRange,
  source: BlobSource,
  buffer: Buffer,
): AsyncGenerator<ContentPiece> {
  for (let done = 0; done < length; done += buffer.length) {
    const bytes = buffer.subarray(0, Math.min(buffer.length, length - done));
    await readInto(source, offset + done, bytes);
    yield { offset: fileOffset + done, bytes };
  }
}
