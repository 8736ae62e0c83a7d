// Unmounts what a test has mounted. Another program, such as one that indexes files, may have a file open for a while.
import { readFileSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { runTool } from './tools.js';

const PATIENCE_MS = 120_000;
const TICK_MS = 100;

const WAYS = {
  umount: { program: 'umount', options: [], lazy: ['-l'] },
  fuse: { program: 'fusermount3', options: ['-u'], lazy: ['-u', '-z'] },
} as const;

/** Unmounts a folder, unless nothing is mounted there. After two minutes its mount is detached, and ends when it can. */
export async function unmount(folder: string, by: keyof typeof WAYS = 'umount'): Promise<void> {
  const dir = join(realpathSync(dirname(folder)), basename(folder));
  const { program, options, lazy } = WAYS[by];
  const deadline = Date.now() + PATIENCE_MS;
  while (isMounted(dir)) {
    const isLate = Date.now() > deadline;
    const { code, stderr } = await runTool(program, [...(isLate ? lazy : options), dir]);
    if (code === 0) return;
    if (isLate) throw new Error(`${program} ${dir}: exit ${code}: ${stderr}`);
    await pause(TICK_MS);
  }
}

function isMounted(dir: string): boolean {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  return mounts.some((line) => line.split(' ')[4] === dir);
}
