// How many descriptors this process has open.
import { readdirSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

export const openDescriptors = (): number => readdirSync('/proc/self/fd').length;

/** Files are closed by threads of the addon, which nobody waits for. */
export async function descriptorsAre(expected: number): Promise<boolean> {
  for (let tries = 0; tries < 1000; tries++) {
    if (openDescriptors() === expected) return true;
    await pause(10);
  }
  return false;
}
