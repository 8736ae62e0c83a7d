// What every case gets. Types only.
import type { Daemon } from './daemon.js';
import type { Images } from './images.js';

export interface World {
  /** The folder of the images and the list of the tree's checksums. */
  folder: string;
  images: Images;
  /** Whether the kernel is discarded afterwards. */
  inVm: boolean;
  /** Whether cases that depend on chance repeat their steps more often than in CI. */
  isLong: boolean;
  /** A daemon that serves all the images; cases share it, because it takes seconds to start. */
  daemon: Daemon;
}
