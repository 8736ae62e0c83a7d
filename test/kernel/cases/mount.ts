// The commands mount and umount with every file system that images have, and what they do when it fails.
import { closeSync, mkdtempSync, openSync, readFileSync, readSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Case, Check } from '../checks.js';
import { checkTree, isConnected, untilConnected } from '../device.js';
import type { FileSystem, Images } from '../images.js';
import { KernelLog, dropCaches } from '../kernel.js';
import type { World } from '../world.js';

const FILE_SYSTEMS: readonly FileSystem[] = ['ext4', 'erofs', 'squashfs', 'xfs', 'btrfs'];

export function mountCases(images: Images): Case<World>[] {
  return [
    ...FILE_SYSTEMS.map((type) => fileSystem(type, images)),
    { name: 'umount --lazy', run: lazy },
    { name: 'mount of what is no file system', run: noFileSystem },
  ];
}

function fileSystem(type: FileSystem, { missing }: Images): Case<World> {
  return {
    name: `mount and umount ${type}`,
    tools: missing[type] === undefined ? [] : [missing[type]],
    async run(check, world) {
      const log = new KernelLog();
      const { root, device } = await mount(check, world, type);
      check.match(mountOf(root) ?? '', new RegExp(` ${type} ro,`), 'read-only');
      await checkTree(check, world, root, type);
      const unmounted = await world.daemon.run('umount', root);
      check.equal(unmounted, { code: 0, stdout: '', stderr: '' }, 'umount succeeds');
      check.equal(mountOf(root), undefined, 'it is not mounted any more');
      await untilConnected(device, false);
      check.equal([...log.errors(), ...log.troubles()], [], 'no error');
    },
  };
}

async function lazy(check: Check, world: World): Promise<void> {
  const { root, device } = await mount(check, world, 'ext4');
  const [path = ''] = Object.entries(world.images.tree.sizes).find(([, size]) => size > 0) ?? [];
  const file = openSync(join(root, path), 'r');
  const before = readFileSync(file);
  const unmounted = await world.daemon.run('umount', '--lazy', root);
  check.equal(unmounted, { code: 0, stdout: '', stderr: '' }, 'umount succeeds');
  check.equal(mountOf(root), undefined, 'nobody new sees it');
  await pause(500);
  check.ok(isConnected(device), 'the device stays as long as a file is open');
  dropCaches();
  const after = Buffer.alloc(before.length);
  readSync(file, after, 0, after.length, 0);
  check.ok(before.length > 0 && after.equals(before), 'which can be read');
  closeSync(file);
  await untilConnected(device, false);
  check.equal((await world.daemon.control.status()).devices, [], 'then it goes');
}

async function noFileSystem(check: Check, { daemon }: World): Promise<void> {
  await daemon.start();
  const root = mkdtempSync(join(tmpdir(), 'obd-mount-'));
  const { code, stderr } = await daemon.run('mount', 'flat', root);
  check.equal(code, 1, 'it is refused');
  check.match(stderr, /file system/, 'it says why');
  check.equal(mountOf(root), undefined, 'nothing is mounted');
  check.equal((await daemon.control.status()).devices, [], 'nothing is attached');
  rmdirSync(root);
}

/** `overlaybd-nbd mount`, on a new folder. */
async function mount(
  check: Check,
  { daemon }: World,
  type: FileSystem,
): Promise<{ root: string; device: string }> {
  await daemon.start();
  const root = mkdtempSync(join(tmpdir(), 'obd-mount-'));
  const { code, stderr } = await daemon.run('mount', type, root);
  check.defer(async () => {
    if (mountOf(root) !== undefined) await daemon.run('umount', root);
    rmdirSync(root);
  });
  check.equal([code, stderr], [0, ''], 'mount succeeds');
  const [device = ''] = /\/dev\/nbd\d+/.exec(mountOf(root) ?? '') ?? [];
  check.ok(device !== '', 'a device is mounted');
  return { root, device };
}

/** The line of /proc/mounts, if it is a mount point. */
function mountOf(root: string): string | undefined {
  return readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .find((line) => line.split(' ')[1] === root);
}
