// The open descriptors of this process or another one, and waiting for their number. Threads of the addon close files
// some time later, so a number that was taken before a test may still fall: compare with "no more than".
import { readdirSync, readlinkSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

/** Longer than a busy machine needs, and below the time limit of a test, so that a leak fails with its own message. */
const PATIENCE_MS = 120_000;

export const openDescriptors = (): number => readdirSync('/proc/self/fd').length;

/**
 * The targets of descriptors that begin with this: "/folder/", "socket:".
 * @param process its id; "self" for this one
 */
export function openTargets(
  beginning: string,
  process: number | 'self' = 'self',
): { fd: number; target: string }[] {
  const found: { fd: number; target: string }[] = [];
  for (const fd of readdirSync(`/proc/${process}/fd`)) {
    let target: string;
    try {
      target = readlinkSync(`/proc/${process}/fd/${fd}`);
    } catch {
      continue; // closed meanwhile, as the descriptor that listed the folder
    }
    if (target.startsWith(beginning)) found.push({ fd: Number(fd), target });
  }
  return found;
}

/** @returns false if there were more all the time */
export async function fallsTo(
  most: number,
  count: () => number | Promise<number> = openDescriptors,
): Promise<boolean> {
  for (const end = performance.now() + PATIENCE_MS; performance.now() < end; await pause(10)) {
    if ((await count()) <= most) return true;
  }
  return (await count()) <= most;
}

/** For a number from which a test counts up: waits until no descriptor is being closed. */
export async function settled(count: () => number): Promise<number> {
  let last = count();
  for (let same = 0; same < 10; same++) {
    await pause(10);
    const now = count();
    if (now !== last) same = 0;
    last = now;
  }
  return last;
}
