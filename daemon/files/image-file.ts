// One file of an image, wherever the image has it: in layers of files, or in a file system that a program reads. Types
// only. Names and paths are byte strings: one character a byte ("latin1").

import type { FileType } from '../tree/file-types.js';
import type { DeviceNumber } from '../tree/layer-tree.js';
import type { InodeNumber } from './inode-number.js';

export interface FileStat {
  readonly type: FileType;
  /** Permission bits: 0 to 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes of a regular file, with its holes, and of a symlink's target; 0 otherwise. */
  readonly size: number;
  /** Seconds since 1970; may be negative. */
  readonly mtime: number;
  /** Nanoseconds after `mtime`: 0 to 999,999,999. */
  readonly mtimeNs: number;
  /** Names of the file; of a directory 2 and its subdirectories. */
  readonly nlink: number;
  /** Of device nodes. */
  readonly rdev: DeviceNumber | null;
  /** Of a symlink: as it is stored. '' otherwise. */
  readonly target: string;
  /** Number of the layer that the file comes from, 0 is the bottom; null if that is not known. */
  readonly layer: number | null;
}

/** Bytes of a file. */
export interface ContentPiece {
  /** Where they are in the file. */
  readonly offset: number;
  /** Valid until the next piece is asked for. */
  readonly bytes: Buffer;
}

export interface ImageFile {
  /** Two names of one file have the same number. */
  readonly inode: InodeNumber;
  stat(): Promise<FileStat>;
  /** The names in a directory, without `.` and `..`, in the order of their bytes. */
  names(): Promise<readonly string[]>;
  /** @returns null if the directory has no such name */
  child(name: string): Promise<ImageFile | null>;
  /** Gives back the memory of the names in a directory, which are read again if they are needed. */
  leave?(): void;
  /** By full name. */
  xattrs(): Promise<ReadonlyMap<string, Uint8Array>>;
  /**
   * The bytes of a regular file in their order. What no piece has is zeros, up to its size.
   * @throws OverlaybdError if they cannot be read
   */
  contents(): AsyncGenerator<ContentPiece>;
}
