// Images whose layers are files, on /dev/nbdX: the kernel mounts them all, and the trees are what is expected. A device
// outlives the daemon, also if the next one would make other metadata.
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DeviceRecords } from '../../../daemon/devices/record.js';
import { NOTHING_BESIDE } from '../../../daemon/image/plan/image-source.js';
import type { TreeLine } from '../../support/erofs/tree-lines.js';
import { withoutLinks, type FixtureImage } from '../../support/fixture-images.js';
import { asMounted, folderTrees } from '../../support/folder-tree.js';
import { rewriteAsOther } from '../../support/other-layout.js';
import { runTool } from '../../support/tools.js';
import { attach } from '../attachment.js';
import type { Case, Check } from '../checks.js';
import { KernelLog, dropCaches } from '../kernel.js';
import type { Images } from '../images.js';
import type { LayeredImage } from '../layered.js';
import type { World } from '../world.js';

/** Seconds. They take about 20 each on an emulated processor, and six times as long if others use it, too. */
const LIMIT = 400;
/** Of the case with all images: it looks at a thousand files of fixtures. */
const ALL_LIMIT = 900;
/** A file of every image. */
const FILE = 'd/noise';

export function layeredCases({ fixtures }: Images): Case<World>[] {
  return [
    ...fixtures.map((image) => ({
      name: `layers of files: ${image.name}`,
      tools: ['python3'],
      timeout: ALL_LIMIT,
      run: (check: Check, world: World) => oneFixture(check, world, image),
    })),
    {
      name: 'layers of files: every format',
      tools: ['python3'],
      timeout: ALL_LIMIT,
      run: everyFormat,
    },
    {
      name: 'layers of files: kill -9, and a daemon of another version',
      tools: ['python3'],
      timeout: LIMIT,
      run: otherVersion,
    },
  ];
}

async function everyFormat(check: Check, world: World): Promise<void> {
  const log = new KernelLog();
  const roots: string[] = [];
  for (const each of world.images.layered) roots.push((await mounted(check, world, each)).root);
  const trees = await folderTrees(roots);
  for (const [i, { name, lines }] of world.images.layered.entries()) {
    checkLines(check, name, trees[i] ?? [], lines);
  }
  for (const root of roots) check.equal((await runTool('umount', [root])).code, 0, 'unmounts');
  check.equal([...log.errors(), ...log.troubles()], [], 'no error');
}

async function oneFixture(check: Check, world: World, fixture: FixtureImage): Promise<void> {
  const log = new KernelLog();
  const { name, image, beside, lines, hasLinks } = fixture;
  const isAlone = Object.keys(beside).length === 0;
  const request = { name, image, beside: isAlone ? null : { ...NOTHING_BESIDE, ...beside }, lines };
  const { root } = await mounted(check, world, request);
  const [tree = []] = await folderTrees([root]);
  checkLines(check, name, hasLinks ? tree : withoutLinks(tree), lines);
  check.equal((await runTool('umount', [root])).code, 0, 'unmounts');
  check.equal([...log.errors(), ...log.troubles()], [], 'no error');
}

async function otherVersion(check: Check, world: World): Promise<void> {
  const { daemon, images } = world;
  const image = images.layered.find(({ name }) => name === 'mixed') as LayeredImage;
  const { root, device } = await mounted(check, world, image);
  check.equal((await runTool('umount', [root])).code, 0, 'unmounts');
  await daemon.kill({ stayAway: true });
  const records = new DeviceRecords(join(daemon.state, 'devices'));
  const ours = records
    .read((message) => check.ok(false, message))
    .find(({ index }) => device === `/dev/nbd${index}`);
  if (!check.ok(ours, 'the record of the device')) return;
  await rewriteAsOther(records, ours as NonNullable<typeof ours>);
  await daemon.start();
  dropCaches();
  check.match(daemon.log, /would make different metadata .* for .*layer\.tar\.gz/, 'a line');
  check.equal((await runTool('mount', ['-o', 'ro', device, root])).code, 0, 'mounts again');
  dropCaches();
  const [other] = await folderTrees([root]);
  checkLines(check, 'the recorded metadata', other ?? [], image.lines);
  await daemon.kill();
  await daemon.ready();
  dropCaches();
  const bytes = readFileSync(join(root, FILE));
  const expected = image.lines.find(({ path }) => path === `/${FILE}`)?.['sha256'];
  check.equal(
    createHash('sha256').update(bytes).digest('hex'),
    expected,
    'a file, after kill -9 below a mount',
  );
  check.equal((await runTool('umount', [root])).code, 0, 'unmounts');
}

/** Attaches an image and mounts it; at the end of the case it is unmounted. */
async function mounted(
  check: Check,
  { daemon }: World,
  { name, image, beside }: LayeredImage,
): Promise<{ root: string; device: string }> {
  const request = { image: [...image], connections: 1, ...(beside && { beside }) };
  const device = await attach(check, daemon, request);
  const folder = mkdtempSync(join(tmpdir(), 'obd-layered-'));
  const root = join(folder, 'files');
  mkdirSync(root);
  check.defer(async () => {
    await runTool('umount', ['-l', root]);
    rmSync(folder, { recursive: true });
  });
  const { code, stderr } = await runTool('mount', ['-t', 'erofs', '-o', 'ro', device, root]);
  check.equal([code, stderr], [0, ''], `${name} is mounted`);
  return { root, device };
}

function checkLines(
  check: Check,
  name: string,
  found: readonly TreeLine[],
  expected: readonly TreeLine[],
): void {
  check.equal(found, asMounted(expected), `${name}: the tree in every field`);
}
