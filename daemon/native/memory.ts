// Memory of this process. Conventions of all calls: addon.ts.

import { addon } from './addon.js';

interface Memory {
  /**
   * Locks the program, its libraries and its addons in memory, so that they run even if they lie on a disk
   * that this process serves. Heaps are not locked: V8 cannot live with locked heaps. Only a service
   * without swap (MemorySwapMax=0) keeps those in memory.
   * @returns bytes, about 100 MB of address space, all resident from then on; -ENOMEM or -EPERM if
   *   RLIMIT_MEMLOCK is less and the process has no CAP_IPC_LOCK
   */
  lock(): number;
  /**
   * Gives the pages that lie wholly within these bytes back to the system at once; the garbage collector
   * would do it later. Their bytes are zeros from then on.
   * @returns how many bytes were given back; -errno
   */
  releasePages(bytes: Uint8Array): number;
  /**
   * Gives free memory of all heaps of malloc back to the system. glibc by itself keeps what a thread has freed while a
   * later block is in use.
   * @returns 1 if something was given back, otherwise 0
   */
  returnFreeMemory(): number;
}

export const memory = addon['memory'] as Memory;
