// Locking of memory, and the messages if the system refuses.
import { test } from 'tap';
import { ENOMEM } from '../../../daemon/lib/errno.js';
import { protectMemory } from '../../../daemon/server/memory.js';

function protect(lock: boolean, flusher: number, locked: number): string[] {
  const lines: string[] = [];
  const log = { log: (level: string, text: string) => void lines.push(`${level}: ${text}`) };
  protectMemory(lock, log, { ioFlusher: () => flusher, lock: () => locked });
  return lines;
}

await test('memory is locked on request, and refusals are logged', (t) => {
  t.same(protect(false, 0, -1), [], 'not locked without the option');
  t.match(protect(false, -1, 0), [/^debug: PR_SET_IO_FLUSHER: EPERM/], 'the daemon goes on');
  t.same(protect(true, 0, 4096), ['info: locked 4096 bytes of program and libraries in memory']);
  t.throws(() => protect(true, 0, -ENOMEM), {
    code: 'PERMISSION',
    message: /^--lock-memory: ENOMEM .*LimitMEMLOCK/,
  });
  t.end();
});
