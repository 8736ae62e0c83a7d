// The folders from the first one to the one that is being listed. A broken file system can have a folder inside itself:
// going down would not end.

import { shownInImage } from '../tree/names.js';
import { errorOf } from '../lib/fault.js';
import type { InodeNumber } from './inode-number.js';

export class FolderWay {
  readonly #inodes: InodeNumber[] = [];
  readonly #onTheWay = new Set<InodeNumber>();

  /**
   * Goes into a folder, after leaving all that are as deep or deeper.
   * @param path for the message
   * @param depth 0: the first folder
   * @throws OverlaybdError BAD_FORMAT if the folder is on the way already
   */
  enter(path: string, inode: InodeNumber, depth: number): void {
    while (this.#inodes.length > depth) this.#onTheWay.delete(this.#inodes.pop() as InodeNumber);
    if (this.#onTheWay.has(inode)) {
      throw errorOf('BAD_FORMAT', { path: shownInImage(path) }, INSIDE_ITSELF);
    }
    this.#inodes.push(inode);
    this.#onTheWay.add(inode);
  }
}

export const INSIDE_ITSELF = 'a directory that is inside itself';
