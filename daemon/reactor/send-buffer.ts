// How many bytes of replies the system keeps for a client on a Unix socket.

import { readFileSync } from 'node:fs';
import { UNIX_SEND_BUFFER } from './limits.js';

/**
 * @param usual bytes that the system gives each socket by itself; null: that is not known
 * @param most bytes that it lets a program ask for; null: that is not known
 * @returns the bytes to ask for; null: the socket would not have more than without that
 */
export function sendBufferToAsk(usual: number | null, most: number | null): number | null {
  // The system doubles what it is asked for, for its own overhead.
  const given = 2 * Math.min(UNIX_SEND_BUFFER, most ?? UNIX_SEND_BUFFER);
  return usual !== null && given <= usual ? null : UNIX_SEND_BUFFER;
}

/** @param name of a number of net.core. @returns null if it cannot be read */
export function netCoreNumber(name: string): number | null {
  try {
    return Number.parseInt(readFileSync(`/proc/sys/net/core/${name}`, 'utf8'), 10) || null;
  } catch {
    return null;
  }
}
