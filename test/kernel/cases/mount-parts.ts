// Mounts of images that are not one file system of whole sectors: a partition of a disk, and an image that ends within
// a sector.
import { mkdtempSync, readFileSync, rmSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeGpt } from '../../support/partition-writer.js';
import { mustRun } from '../../support/tools.js';
import type { Case, Check } from '../checks.js';
import { checkTree } from '../device.js';
import type { World } from '../world.js';

const SECTOR = 512;
/** Start of the partition in sectors. */
const FIRST = 2048;

export function mountPartsCases(): Case<World>[] {
  return [
    { name: 'mount --partition', tools: ['mke2fs'], run: partition },
    { name: 'mount of an image that ends within a sector', tools: ['mksquashfs'], run: odd },
  ];
}

async function partition(check: Check, world: World): Promise<void> {
  const { folder, daemon } = world;
  const inside = readFileSync(join(folder, 'ext4.img'));
  const disk = Buffer.alloc((FIRST + 64) * SECTOR + inside.length);
  inside.copy(disk, FIRST * SECTOR);
  writeGpt(disk, [null, { first: FIRST, last: FIRST + inside.length / SECTOR - 1, name: 'root' }]);
  const path = join(folder, 'parted.img');
  writeFileSync(path, disk);
  check.defer(() => rmSync(path));
  await daemon.start();
  const root = mkdtempSync(join(tmpdir(), 'obd-mount-'));
  check.defer(() => rmdirSync(root));
  const whole = await daemon.run('mount', path, root);
  check.equal(whole.code, 1, 'the disk is not a file system');
  check.match(whole.stderr, /GPT.*--partition N/, 'the error tells what to do');
  const first = await daemon.run('mount', path, root, '--partition', '1');
  check.equal(first.code, 1, 'there is no partition 1');
  check.match(
    first.stderr,
    /partition 1: not in the gpt.*it has 2/,
    'the error tells how many partitions there are',
  );
  const { code, stderr } = await daemon.run('mount', path, root, '--partition', '2');
  if (!check.equal([code, stderr], [0, ''], 'mount succeeds')) return;
  await checkTree(check, world, root, 'the partition');
  check.equal((await daemon.run('umount', root)).code, 0, 'umount succeeds');
  check.equal(await daemon.devicesLeft(), [], 'nothing is attached');
}

async function odd(check: Check, world: World): Promise<void> {
  const { folder, daemon } = world;
  const path = join(folder, 'mounted-nopad.img');
  const options = ['-quiet', '-no-progress', '-noappend', '-nopad'];
  await mustRun('mksquashfs', [join(folder, 'tree'), path, ...options]);
  // If its size happens to be whole sectors, one more byte changes that.
  if (statSync(path).size % SECTOR === 0) writeFileSync(path, '\0', { flag: 'a' });
  check.note(`${statSync(path).size} bytes`);
  check.defer(() => rmSync(path));
  await daemon.start();
  const root = mkdtempSync(join(tmpdir(), 'obd-mount-'));
  check.defer(() => rmdirSync(root));
  const { code, stderr } = await daemon.run('mount', path, root);
  if (!check.equal([code, stderr], [0, ''], 'mount succeeds')) return;
  await checkTree(check, world, root, 'the file system');
  check.equal((await daemon.run('umount', root)).code, 0, 'umount succeeds');
}
