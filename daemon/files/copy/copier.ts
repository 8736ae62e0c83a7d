// Copies files and folders of an image to this machine, for `cp`. A file of the image that cannot be read is reported
// and left out, and the others are copied; if the copy cannot be written, it ends.

import type { FileHandle } from 'node:fs/promises';
import { OverlaybdError } from '../../errors.js';
import { errorOf } from '../../lib/fault.js';
import { TYPE_BITS } from '../../tree/file-types.js';
import { shownInImage } from '../../tree/names.js';
import { INSIDE_ITSELF } from '../folder-way.js';
import type { FileStat, ImageFile } from '../image-file.js';
import type { InodeNumber } from '../inode-number.js';
import { TYPE_NAMES } from '../texts.js';
import { FirstPlaces } from './first-places.js';
import { AttributeKeeper } from './kept-attributes.js';
import { bytesOfName, TargetError, tried, type TargetFolder } from './target-folder.js';

/** Zeros of this size and place are left out as holes: most formats of layers have holes as zeros. */
const HOLE_SIZE = 4096;
const ZEROS = Buffer.alloc(HOLE_SIZE);

export interface CopyOptions {
  /** Whether attributes and hard links are kept, and devices and pipes are made. */
  readonly keep: boolean;
  /** Gets one line for each file that is left out although it should be there. */
  readonly fail: (message: string) => Promise<void>;
}

export interface LeftOut {
  /** Files that could not be read or made. */
  failed: number;
  /** Devices and pipes, which only a copy with attributes has. */
  nodes: number;
}

export class Copier {
  readonly leftOut: LeftOut = { failed: 0, nodes: 0 };
  /** Files that were copied in full, folders not among them. */
  copied = 0;
  readonly keeper = new AttributeKeeper();
  readonly #options: CopyOptions;
  #firstPlaces = new FirstPlaces();
  #top: TargetFolder | null = null;
  /** The inodes of the folders on the way. */
  readonly #open = new Set<InodeNumber>();

  constructor(options: CopyOptions) {
    this.#options = options;
  }

  /**
   * Copies a file or folder.
   * @param path in the image, for messages
   * @param folder what it is copied into, under `name`
   * @throws TargetError if the copy cannot be written
   */
  async copy(path: string, file: ImageFile, folder: TargetFolder, name: string): Promise<void> {
    this.#begin(folder);
    await this.#tried(path, () => this.#copyOne(path, file, folder, name));
  }

  /** Copies what is in a folder of the image into a folder that is there. */
  async copyInto(path: string, file: ImageFile, folder: TargetFolder): Promise<void> {
    this.#begin(folder);
    await this.#fill(path, file, folder);
    if (this.#options.keep) await this.keeper.keep(folder.path, folder.handle, file);
  }

  /** Places are below the folder that this copy goes to. */
  #begin(folder: TargetFolder): void {
    if (this.#top === folder) return;
    this.#top = folder;
    this.#firstPlaces = new FirstPlaces();
  }

  /** Counts a file that cannot be read. */
  async #tried(path: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof OverlaybdError) || error instanceof TargetError) throw error;
      this.leftOut.failed++;
      await this.#options.fail(`${shownInImage(path)}: ${error.message}`);
    }
  }

  async #copyOne(path: string, file: ImageFile, folder: TargetFolder, name: string): Promise<void> {
    const stat = await file.stat();
    if (stat.type === 'dir') {
      await this.#copyFolder(path, file, stat, folder, name);
      return;
    }
    const { keep } = this.#options;
    const first = keep && stat.nlink > 1 ? this.#firstPlaces.before(file.inode, name) : null;
    this.#firstPlaces.forget(name);
    if (first) {
      await this.#link(first, folder, name);
      this.copied++;
      return;
    }
    switch (stat.type) {
      case 'reg':
        await this.#copyFile(file, stat, folder, name);
        break;
      case 'symlink':
        await folder.newSymlink(name, stat.target);
        if (keep) await this.#keepByName(file, folder, name);
        break;
      case 'char':
      case 'block':
      case 'fifo':
        if (!(await this.#copyNode(path, file, stat, folder, name))) return;
    }
    this.copied++;
    if (keep && stat.nlink > 1) this.#firstPlaces.add(file.inode, name);
  }

  async #copyFolder(
    path: string,
    file: ImageFile,
    { mode }: FileStat,
    folder: TargetFolder,
    name: string,
  ): Promise<void> {
    const { keep } = this.#options;
    if (this.#open.has(file.inode)) throw errorOf('BAD_FORMAT', {}, INSIDE_ITSELF);
    // This user must be able to write into it until all is copied.
    const isNew = await folder.makeFolder(name, keep ? 0o700 : (mode & 0o777) | 0o700);
    const into = await folder.folder(name);
    this.#firstPlaces.enter(name);
    try {
      await this.#fill(path, file, into);
      if (keep) await this.keeper.keep(into.path, into.handle, file);
      else if (isNew && (mode & 0o700) !== 0o700) {
        const made = await tried(into.path, () => into.handle.stat());
        await tried(into.path, () => into.handle.chmod(made.mode & mode & 0o777));
      }
    } finally {
      this.#firstPlaces.leave();
      await into.close();
    }
  }

  async #fill(path: string, file: ImageFile, folder: TargetFolder): Promise<void> {
    this.#open.add(file.inode);
    try {
      for (const name of await file.names()) {
        const at = path === '' ? name : `${path}/${name}`;
        await this.#tried(at, async () => {
          const child = await file.child(name);
          if (child) await this.#copyOne(at, child, folder, name);
        });
      }
    } finally {
      this.#open.delete(file.inode);
      file.leave?.();
    }
  }

  async #copyFile(
    file: ImageFile,
    { mode, size }: FileStat,
    folder: TargetFolder,
    name: string,
  ): Promise<void> {
    const { keep } = this.#options;
    const path = folder.pathOf(name);
    const handle = await folder.newFile(name, keep ? 0o600 : mode & 0o777);
    try {
      let end = 0;
      for await (const { offset, bytes } of file.contents()) {
        end = Math.max(end, await tried(path, () => writeData(handle, offset, bytes)));
      }
      // After a hole at the end.
      if (end !== size) await tried(path, () => handle.truncate(size));
      if (keep) await this.keeper.keep(path, handle, file);
      // Some file systems report a failed write only now.
      await tried(path, () => handle.close());
    } catch (error) {
      await handle.close().catch(() => undefined);
      // Half a file must not pass for a whole one.
      await folder.remove(name);
      throw error;
    }
  }

  /** @returns whether it was made */
  async #copyNode(
    path: string,
    file: ImageFile,
    { type, mode, rdev }: FileStat,
    folder: TargetFolder,
    name: string,
  ): Promise<boolean> {
    if (!this.#options.keep) {
      this.leftOut.nodes++;
      return false;
    }
    const { major, minor } = rdev ?? { major: 0, minor: 0 };
    const bits = TYPE_BITS[type];
    try {
      await folder.newNode(name, bits | (mode & 0o1777), major, minor);
    } catch (error) {
      if (!(error instanceof TargetError) || error.code !== 'PERMISSION') throw error;
      this.leftOut.failed++;
      await this.#options.fail(
        `${shownInImage(path)}: a ${TYPE_NAMES[type]}, which this user cannot make`,
      );
      return false;
    }
    await this.#keepByName(file, folder, name);
    return true;
  }

  #keepByName(file: ImageFile, folder: TargetFolder, name: string): Promise<void> {
    return this.keeper.keepByName(folder.pathOf(name), folder.handle, bytesOfName(name), file);
  }

  /** Opens the folders to the first name again: any of them may be a symlink by now. */
  async #link(first: readonly string[], folder: TargetFolder, name: string): Promise<void> {
    const opened: TargetFolder[] = [];
    try {
      let at = this.#top as TargetFolder;
      for (const each of first.slice(0, -1)) {
        at = await at.folder(each);
        opened.push(at);
      }
      await folder.newLink(name, at, first.at(-1) as string);
    } finally {
      for (const each of opened) await each.close();
    }
  }
}

/**
 * Writes the bytes at their place, and leaves out blocks of zeros: the file is new, so they are holes.
 * @returns where in the file the last of them ends that was written; 0: none was
 */
async function writeData(handle: FileHandle, offset: number, bytes: Buffer): Promise<number> {
  let written = 0;
  for (let at = 0; at < bytes.length;) {
    const end = runEnd(bytes, at, offset);
    if (!isHole(bytes, at, offset)) {
      await writeAll(handle, bytes.subarray(at, end), offset + at);
      written = offset + end;
    }
    at = end;
  }
  return written;
}

/** The end of the run of blocks that are all data, or all holes, like the one at `at`. */
function runEnd(bytes: Buffer, at: number, offset: number): number {
  const isZeros = isHole(bytes, at, offset);
  let end = blockEnd(bytes, at, offset);
  while (end < bytes.length && isHole(bytes, end, offset) === isZeros) {
    end = blockEnd(bytes, end, offset);
  }
  return end;
}

function isHole(bytes: Buffer, at: number, offset: number): boolean {
  const block = bytes.subarray(at, blockEnd(bytes, at, offset));
  return block.length === HOLE_SIZE && block.equals(ZEROS);
}

/** Blocks count from the start of the file, not of this piece of it. */
function blockEnd(bytes: Buffer, at: number, offset: number): number {
  return Math.min(bytes.length, at + HOLE_SIZE - ((offset + at) % HOLE_SIZE));
}

async function writeAll(handle: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}
