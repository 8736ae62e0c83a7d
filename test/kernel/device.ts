// One /dev/nbdX as a user sees it: whether it is free, its bytes, the file system on it. It connects nothing.
import { existsSync, mkdtempSync, readFileSync, readlinkSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { runTool } from '../support/tools.js';
import type { Check } from './checks.js';
import type { FileSystem } from './images.js';
import { dropCaches } from './kernel.js';
import type { World } from './world.js';

/** Options that keep a read-only mount from writing. */
const MOUNT_OPTIONS: Partial<Record<FileSystem, string>> = {
  ext4: 'ro,noload',
  xfs: 'ro,norecovery',
};

export function isConnected(device: string): boolean {
  return existsSync(`/sys/block/${device.slice('/dev/'.length)}/pid`);
}

/** @throws Error if all are in use */
export function freeDevice(): string {
  for (let i = 0; existsSync(`/dev/nbd${i}`); i++) {
    if (!isConnected(`/dev/nbd${i}`)) return `/dev/nbd${i}`;
  }
  throw new Error('no free /dev/nbdX: modprobe nbd');
}

/** A number or word that the kernel shows for a device, such as size or queue/logical_block_size. */
export function attribute(device: string, name: string): string {
  return readFileSync(`/sys/block/${device.slice('/dev/'.length)}/${name}`, 'utf8').trim();
}

/**
 * Waits until the device is connected, or disconnected. With the ioctl interface the kernel sets the size a moment after
 * the device has its `pid`.
 */
export async function untilConnected(device: string, wanted: boolean): Promise<void> {
  const isDone = (): boolean =>
    isConnected(device) === wanted && (!wanted || attribute(device, 'size') !== '0');
  for (let i = 0; !isDone(); i++) {
    if (i === 500) throw new Error(`${device} is ${wanted ? 'not' : 'still'} connected`);
    await pause(20);
  }
}

/** The SHA-256 of the whole device, read from the server and not from a cache. @returns '' if it cannot be read */
export async function deviceSha256(device: string): Promise<string> {
  dropCaches();
  const { stdout } = await runTool('sha256sum', [device]);
  return stdout.slice(0, stdout.indexOf(' '));
}

/** Mounts the file system and compares all files and links in it with the tree. */
export async function checkMounted(
  check: Check,
  { images, folder }: World,
  device: string,
  type: FileSystem,
): Promise<void> {
  const target = mkdtempSync(join(tmpdir(), 'obd-mount-'));
  const options = MOUNT_OPTIONS[type] ?? 'ro';
  const { code, stderr } = await runTool('mount', ['-t', type, '-o', options, device, target]);
  if (!check.equal(code, 0, `${type} is mounted`)) check.note(stderr);
  else {
    await checkTree(check, { images, folder }, target, type);
    check.equal((await runTool('umount', [target])).code, 0, `${type} is unmounted`);
  }
  rmdirSync(target);
}

/** Compares all files and links in `target` with the tree. */
export async function checkTree(
  check: Check,
  { images: { tree }, folder }: Pick<World, 'images' | 'folder'>,
  target: string,
  what: string,
): Promise<void> {
  dropCaches();
  const sums = await runTool('sha256sum', ['--check', '--quiet', join(folder, 'tree.sha256')], {
    cwd: target,
  });
  const files = Object.keys(tree.sizes).length;
  check.equal(sums, { code: 0, stdout: '', stderr: '' }, `${what}: ${files} files as they were`);
  const found = await runTool('find', [target, '-type', 'f']);
  check.equal(found.stdout.trim().split('\n').length, files, `${what}: and no other file`);
  const links = Object.keys(tree.links).map((path) => [path, readlinkSync(join(target, path))]);
  check.equal(Object.fromEntries(links), tree.links, `${what}: links as they were`);
}
