// What keeps a daemon alive when the machine is short of memory.

import { OverlaybdError } from '../errors.js';
import { errnoText } from '../lib/errno.js';
import type { Logger } from '../log/logger.js';
import { memory } from '../native/memory.js';
import { thisProcess } from '../native/process.js';

/** @throws OverlaybdError PERMISSION when `lock` is set and the memory cannot be locked */
export function protectMemory(
  lock: boolean,
  log: Logger,
  system: Pick<typeof memory, 'lock'> & Pick<typeof thisProcess, 'ioFlusher'> = {
    ...memory,
    ioFlusher: () => thisProcess.ioFlusher(),
  },
): void {
  const flusher = system.ioFlusher();
  if (flusher < 0) log.log('debug', `PR_SET_IO_FLUSHER: ${errnoText(-flusher)}`);
  if (!lock) return;
  const locked = system.lock();
  if (locked < 0) {
    throw new OverlaybdError(
      'PERMISSION',
      `--lock-memory: ${errnoText(-locked)}: raise the limit (LimitMEMLOCK=128M in the unit, or ulimit -l)`,
    );
  }
  log.log('info', `locked ${locked} bytes of program and libraries in memory`);
}
