// The commands mount and umount with every file system that images have, and their errors.
import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmdirSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { damageFolder } from '../../support/damaged-ext4.js';
import { mustRun, runTool } from '../../support/tools.js';
import { attach } from '../attachment.js';
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
    {
      name: 'umount(8) detaches the device',
      tools: missing(images, 'squashfs'),
      run: plainUmount,
    },
    {
      name: 'mount: a damaged ext4 whose superblock asks for a panic',
      tools: ['mke2fs', 'tune2fs', 'debugfs'],
      run: panicking,
    },
    { name: 'mount: no devices and setuid programs of an image', run: noDevices },
    { name: 'mount: blocks larger than those of the file system', run: largeBlocks },
    {
      name: 'mount: two btrfs with one fsid',
      tools: missing(images, 'btrfs'),
      run: twoBtrfs,
    },
    { name: 'mount of data that is not a file system', run: noFileSystem },
  ];
}

/** The program without which this image cannot be made. */
function missing(images: Images, type: FileSystem): string[] {
  const tool = images.missing[type];
  return tool === undefined ? [] : [tool];
}

function fileSystem(type: FileSystem, images: Images): Case<World> {
  return {
    name: `mount and umount ${type}`,
    tools: missing(images, type),
    async run(check, world) {
      const log = new KernelLog();
      // One as users run it.
      const command = type === 'ext4' ? 'runProgram' : 'run';
      const { root, device } = await mount(check, world, type, command);
      check.match(mountOf(root) ?? '', new RegExp(` ${type} ro,`), 'read-only');
      await checkTree(check, world, root, type);
      const unmounted = await world.daemon[command]('umount', root);
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
  check.equal(mountOf(root), undefined, 'no process can see the mount any more');
  await pause(500);
  check.ok(isConnected(device), 'the device stays as long as a file is open');
  dropCaches();
  const after = Buffer.alloc(before.length);
  readSync(file, after, 0, after.length, 0);
  check.ok(before.length > 0 && after.equals(before), 'the open file can be read');
  closeSync(file);
  await untilConnected(device, false);
  check.equal(await world.daemon.devicesLeft(), [], 'the device is detached afterwards');
}

/** A device of `mount` is detached with its mount; one of `attach` stays. */
async function plainUmount(check: Check, world: World): Promise<void> {
  const { root, device } = await mount(check, world, 'squashfs');
  await pause(500);
  check.ok(isConnected(device), 'the device stays as long as it is mounted');
  check.equal((await runTool('umount', [root])).code, 0, 'umount(8) succeeds');
  await untilConnected(device, false);
  check.equal(await world.daemon.devicesLeft(), [], 'the daemon has noticed it');
  const kept = await attach(check, world.daemon, { export: 'squashfs' });
  check.equal(
    (await runTool('mount', ['-o', 'ro', kept, root])).code,
    0,
    'mount(8) of another device succeeds',
  );
  check.equal((await runTool('umount', [root])).code, 0, 'umount(8) succeeds');
  await pause(500);
  check.ok(isConnected(kept), 'a device of `attach` stays attached');
}

/** Otherwise the kernel would panic, and the VM would end. */
async function panicking(check: Check, { folder, daemon }: World): Promise<void> {
  const image = join(folder, 'panic.img');
  writeFileSync(image, '');
  truncateSync(image, 8 << 20);
  await mustRun('mke2fs', ['-q', '-F', '-t', 'ext4', '-d', join(folder, 'tree'), image]);
  await damageFolder(image, '/d1');
  await daemon.start();
  const root = mkdtempSync(join(tmpdir(), 'obd-mount-'));
  const { code, stderr } = await daemon.run('mount', image, root);
  check.equal([code, stderr], [0, ''], 'mount succeeds');
  check.match(mountOf(root) ?? '', / ext4 ro,nosuid,nodev,/, 'no devices, no setuid');
  const log = new KernelLog();
  const list = await runTool('ls', ['-la', join(root, 'd1')]);
  check.ok(list.code !== 0 || log.errors().length > 0, 'the damage is noticed', list.stdout);
  check.ok(
    log.errors().length > 0,
    'the kernel reports an error and goes on',
    log.lines().join('\n'),
  );
  check.equal((await runTool('ls', [join(root, 'd2')])).code, 0, 'other files can be read');
  const unmounted = await daemon.run('umount', root);
  check.equal(unmounted, { code: 0, stdout: '', stderr: '' }, 'umount succeeds');
  rmdirSync(root);
}

async function noDevices(check: Check, { daemon }: World): Promise<void> {
  await daemon.start();
  const root = mkdtempSync(join(tmpdir(), 'obd-mount-'));
  for (const [options, has, lacks] of [
    [[], /\bnosuid,nodev\b/, /never/],
    [['--allow-dev'], /\bnosuid\b/, /nodev/],
    [['--allow-dev', '--allow-suid'], / ro,relatime/, /nodev|nosuid/],
  ] as const) {
    const { code, stderr } = await daemon.run('mount', ...options, 'ext4', root);
    check.equal([code, stderr], [0, ''], `mount ${options.join(' ')} succeeds`);
    const line = mountOf(root) ?? '';
    check.ok(has.test(line) && !lacks.test(line), `options of mount ${options.join(' ')}`, line);
    check.equal((await daemon.run('umount', root)).code, 0, 'umount succeeds');
  }
  rmdirSync(root);
}

async function largeBlocks(check: Check, { daemon }: World): Promise<void> {
  await daemon.start();
  const root = mkdtempSync(join(tmpdir(), 'obd-mount-'));
  const { code, stderr } = await daemon.run('mount', 'ext4', root, '--block-size', '4096');
  check.equal(code, 1, 'mount is refused');
  check.match(
    stderr,
    /blocks of 4096 bytes \(--block-size\).*ext4.*blocks of 1024/,
    'the error has both sizes',
  );
  check.equal((await daemon.control.status()).devices, [], 'nothing is attached');
  rmdirSync(root);
}

async function twoBtrfs(check: Check, world: World): Promise<void> {
  const { root, device } = await mount(check, world, 'btrfs');
  const second = mkdtempSync(join(tmpdir(), 'obd-mount-'));
  const { code, stderr } = await world.daemon.run('mount', 'btrfs', second);
  check.equal(code, 1, 'the second one is refused');
  check.match(
    stderr,
    new RegExp(`${device} holds a mounted btrfs with the same fsid`),
    'the error names the first device',
  );
  check.equal(
    (await world.daemon.control.status()).devices.length,
    1,
    'no other device is attached',
  );
  check.equal((await world.daemon.run('umount', root)).code, 0, 'umount succeeds');
  const later = await world.daemon.run('mount', 'btrfs', second);
  check.equal([later.code, later.stderr], [0, ''], 'then it can be mounted');
  check.equal((await world.daemon.run('umount', second)).code, 0, 'and unmounted');
  rmdirSync(second);
}

async function noFileSystem(check: Check, { daemon }: World): Promise<void> {
  await daemon.start();
  const root = mkdtempSync(join(tmpdir(), 'obd-mount-'));
  const { code, stderr } = await daemon.run('mount', 'flat', root);
  check.equal(code, 1, 'mount is refused');
  check.match(stderr, /file system/, 'the error tells the reason');
  check.equal(mountOf(root), undefined, 'nothing is mounted');
  check.equal((await daemon.control.status()).devices, [], 'nothing is attached');
  rmdirSync(root);
}

/** `overlaybd-nbd mount` on a new folder. */
async function mount(
  check: Check,
  { daemon }: World,
  type: FileSystem,
  command: 'run' | 'runProgram' = 'run',
): Promise<{ root: string; device: string }> {
  await daemon.start();
  const root = mkdtempSync(join(tmpdir(), 'obd-mount-'));
  const { code, stderr } = await daemon[command]('mount', type, root);
  check.defer(async () => {
    if (mountOf(root) !== undefined) await daemon.run('umount', root);
    rmdirSync(root);
  });
  check.equal([code, stderr], [0, ''], 'mount succeeds');
  const [device = ''] = /\/dev\/nbd\d+/.exec(mountOf(root) ?? '') ?? [];
  check.ok(device !== '', 'a device is mounted');
  return { root, device };
}

/** The line of /proc/mounts for this mount point, if there is one. */
function mountOf(root: string): string | undefined {
  return readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .find((line) => line.split(' ')[1] === root);
}
