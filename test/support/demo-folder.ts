// The folder of the demo: which process serves what is in it, and how it is removed.
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../../daemon/errors.js';
import { parseMountinfo } from '../../daemon/mount/mountinfo.js';

/** The process that serves a configuration, or null. An upgrade replaces it; one that has ended has no command line. */
export function serverOf(config: string, proc = '/proc'): number | null {
  for (const name of readdirSync(proc)) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const words = readFileSync(join(proc, name, 'cmdline'), 'utf8').split('\0');
      if (words.includes('serve') && words.includes(config)) return Number(name);
    } catch {
      // It has ended meanwhile, or belongs to another user.
    }
  }
  return null;
}

/**
 * Removes the folder, unless something is mounted in it.
 * @param mountinfo of this process, see proc(5)
 * @returns why it is still there, or null
 */
export function removeDemo(folder: string, mountinfo: string): string | null {
  const mounts = parseMountinfo(mountinfo).map(({ mountPoint }) => mountPoint);
  const inside = [...new Set(mounts)].filter((dir) => dir.startsWith(`${folder}/`));
  if (inside.length > 0) {
    const ends = inside.map((dir) => `overlaybd-nbd umount ${dir}`).join(' && ');
    const isAre = inside.length === 1 ? 'is' : 'are';
    return `${inside.join(' and ')} ${isAre} mounted: run ${ends}; then remove ${folder}`;
  }
  try {
    rmSync(folder, { recursive: true, force: true });
    return null;
  } catch (error) {
    return `cannot remove ${folder}: ${messageOf(error)}`;
  }
}
