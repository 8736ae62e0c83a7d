// What every case is given. Types only.
import type { Daemon } from './daemon.js';
import type { Images } from './images.js';

export interface World {
  /** Where the images are, and the list of the tree's checksums. */
  folder: string;
  images: Images;
  /** Whether the kernel is a throw-away one. */
  inVm: boolean;
  /** Serves all the images; cases share it, because it takes seconds to start. */
  daemon: Daemon;
}
