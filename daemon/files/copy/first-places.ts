// Where the first names of files with several names were copied to. Places are linked, each to its folder: a hostile layer
// has millions of names thousands of folders deep.

import type { InodeNumber } from '../inode-number.js';

interface Place {
  /** The folder; null: this is the folder that the copy goes to. */
  readonly above: Place | null;
  readonly name: string;
  /** Of the file of the image whose first name was copied here; null for a folder. */
  inode: InodeNumber | null;
  /** Only folders on the way, and those that lead to first names. */
  below: Map<string, Place> | null;
}

export class FirstPlaces {
  readonly #byInode = new Map<InodeNumber, Place>();
  #folder = newPlace(null, '');

  /** The copy goes into a folder. */
  enter(name: string): void {
    this.#folder = this.#make(name);
  }

  /** The copy leaves the folder that it entered last. */
  leave(): void {
    const { above, name, below } = this.#folder;
    if (above === null) return;
    this.#folder = above;
    if (below === null) this.#remove(name);
  }

  /** @returns the names from the top to the first name of the file; null if there is none, or if it is this one */
  before(inode: InodeNumber, name: string): string[] | null {
    const place = this.#byInode.get(inode);
    if (!place || place === this.#folder.below?.get(name)) return null;
    const names: string[] = [];
    for (let at = place; at.above !== null; at = at.above) names.push(at.name);
    return names.toReversed();
  }

  /** The first name of a file was copied into the folder. */
  add(inode: InodeNumber, name: string): void {
    const place = this.#make(name);
    place.inode = inode;
    this.#byInode.set(inode, place);
  }

  /** A copy that was there before is replaced: no further name can be linked to it. */
  forget(name: string): void {
    const inode = this.#folder.below?.get(name)?.inode ?? null;
    if (inode === null) return;
    this.#byInode.delete(inode);
    this.#remove(name);
  }

  #remove(name: string): void {
    const { below } = this.#folder;
    below?.delete(name);
    if (below?.size === 0) this.#folder.below = null;
  }

  #make(name: string): Place {
    const below = (this.#folder.below ??= new Map<string, Place>());
    const place = below.get(name) ?? newPlace(this.#folder, name);
    below.set(name, place);
    return place;
  }
}

function newPlace(above: Place | null, name: string): Place {
  return { above, name, inode: null, below: null };
}
