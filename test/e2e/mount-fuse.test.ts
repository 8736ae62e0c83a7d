// `mount --fuse` and `umount` as users run them: real file systems in real images, compared file by file; afterwards
// nothing is left. Needs FUSE, and programs that the skips name.
import { spawn } from 'node:child_process';
import {
  accessSync,
  constants,
  mkdirSync,
  readFileSync,
  rmSync,
  readdirSync,
  readlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import tap, { test, type Test } from 'tap';
import { parseMountinfo } from '../../daemon/mount/mountinfo.js';
import { writeArchive } from '../support/archive-writer.js';
import { DaemonProcess, runDaemon, shortFolder } from '../support/daemon-process.js';
import { SECTOR } from '../support/lsmt-layout.js';
import { writeLsmt } from '../support/lsmt-writer.js';
import { randomBytes, textBytes } from '../support/pattern.js';
import { requireTool, runTool } from '../support/tools.js';
import { damageFolder } from '../support/damaged-ext4.js';
import { writeGpt } from '../support/partition-writer.js';
import { PROGRAM } from '../support/program.js';
import { wrap } from '../support/wrapper.js';

tap.setTimeout(900_000);

interface World {
  /** Files that every image has. */
  tree: string;
  /** The mount point. */
  dir: string;
  folder: string;
}

function requireFuse(t: Test, ...tools: string[]): boolean {
  try {
    accessSync('/dev/fuse', constants.R_OK | constants.W_OK);
  } catch {
    const message = 'NOT TESTED, this user cannot open /dev/fuse';
    console.error(`${t.fullname}: ${message}`);
    t.pass('/dev/fuse', { skip: message });
    return false;
  }
  return requireTool(t, 'nbdfuse', 'fusermount3', 'diff', ...tools);
}

function makeWorld(t: Test): World {
  const folder = shortFolder(t);
  const [tree, dir] = [join(folder, 'tree'), join(folder, 'mnt')];
  for (const each of [dir, tree, join(tree, 'sub')]) mkdirSync(each);
  writeFileSync(join(tree, 'hello'), 'hello\n');
  writeFileSync(join(tree, 'sub', 'text'), textBytes(1, 700_001));
  writeFileSync(join(tree, 'sub', 'random'), randomBytes(2, 300_000));
  t.teardown(() => runTool('fusermount3', ['-u', '-z', dir]));
  return { folder, tree, dir };
}

/** One LSMT layer in an LZ4 ZFile with the file system that the tool makes. */
async function makeLayer(t: Test, { folder, tree }: World, type: string): Promise<string> {
  const [raw, layer] = [join(folder, `${type}.img`), join(folder, `${type}.obd`)];
  const lines: Record<string, [string, ...string[]]> = {
    ext4: ['mkfs.ext4', '-q', '-F', '-d', tree, raw, '8M'],
    erofs: ['mkfs.erofs', raw, tree],
    squashfs: ['mksquashfs', tree, raw, '-quiet', '-no-progress'],
    xfs: ['mkfs.xfs', '-q', '-d', `file,name=${raw},size=300m`],
  };
  const [program = '', ...args] = lines[type] ?? [];
  const made = await runTool(program, args);
  t.equal(made.code, 0, made.stderr);
  const bytes = readFileSync(raw);
  const length = Math.ceil(bytes.length / SECTOR);
  const data = Buffer.concat([bytes, Buffer.alloc(length * SECTOR - bytes.length)]);
  const lsmt = writeLsmt({
    virtualSize: data.length,
    segments: [{ offset: 0, length, data }],
  });
  const zfile = { algorithm: 'lz4', blockSize: 4096, verify: true, mode: 'trailer' } as const;
  writeFileSync(layer, wrap(lsmt, { zfile, tar: 'none' }));
  return layer;
}

const nbd = (...args: string[]) => runDaemon(args);

const mounted = (dir: string): number =>
  parseMountinfo(readFileSync('/proc/self/mountinfo', 'utf8')).filter(({ mountPoint }) =>
    mountPoint.startsWith(dir),
  ).length;

/** Running processes with this word in their command lines. */
function processesWith(text: string): string[] {
  return processesOf(text).map(({ line }) => line);
}

/** The same, with their working directories. */
function processesOf(text: string): { line: string; cwd: string }[] {
  return readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) return [];
    try {
      const line = readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ');
      return line.includes(text) ? [{ line, cwd: readlinkSync(`/proc/${pid}/cwd`) }] : [];
    } catch {
      return []; // The process has just ended.
    }
  });
}

/** The number of mounts at `dir` and of its file system. */
function optionsOf(dir: string): string[] {
  const table = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  return table.flatMap((line) => (line.split(' ')[4] === dir ? [line.split(' ')[5] ?? ''] : []));
}

async function nothingLeft(t: Test, { folder, dir }: World): Promise<void> {
  t.equal(mounted(dir), 0, 'no mount is left');
  for (let i = 0; i < 6000 && processesWith(folder).length > 0; i++) await pause(20);
  t.same(processesWith(folder), [], 'no process is left');
}

/** The folder with nbdfuse's file while it is mounted. */
function ownFolder(dir: string): string {
  const table = parseMountinfo(readFileSync('/proc/self/mountinfo', 'utf8'));
  const source = table.find(({ mountPoint }) => mountPoint === dir)?.source ?? '';
  return source.replace(/\/disk\/nbd$/, '');
}

await test('layers of files', async (t) => {
  if (!requireFuse(t, 'erofsfuse')) return;
  const { folder, tree, dir } = makeWorld(t);
  const files = ['hello', 'sub/text', 'sub/random'];
  const members = files.map((name) => ({ name, content: readFileSync(join(tree, name)) }));
  const layers = [join(folder, 'lower.tar'), join(folder, 'upper.tar')];
  writeFileSync(layers[0] as string, writeArchive([{ name: 'gone', content: 'x' }, ...members]));
  writeFileSync(layers[1] as string, writeArchive([{ name: '.wh.gone' }]));
  const config = join(folder, 'config.v1.json');
  writeFileSync(config, JSON.stringify({ lowers: layers.map((file) => ({ file })) }));
  const { code, stderr } = await nbd('mount', '--fuse', config, dir);
  t.same([code, stderr], [0, '']);
  const compared = await runTool('diff', ['-r', tree, dir]);
  t.equal(compared.code, 0, compared.stdout);
  t.equal((await nbd('umount', dir)).code, 0);
  await nothingLeft(t, { folder, tree, dir });
});

for (const [type, maker, program] of [
  ['ext4', 'mkfs.ext4', 'fuse2fs'],
  ['erofs', 'mkfs.erofs', 'erofsfuse'],
  ['squashfs', 'mksquashfs', 'squashfuse'],
] as const) {
  await test(`${type}: mounted, compared, unmounted`, async (t) => {
    if (!requireFuse(t, maker, program)) return;
    const world = makeWorld(t);
    const layer = await makeLayer(t, world, type);
    const { code, stdout, stderr } = await nbd('mount', '--fuse', layer, world.dir);
    t.same([code, stdout, stderr], [0, '', '']);
    const own = ownFolder(world.dir);
    t.match(own, /overlaybd-nbd-fuse-\w{6}$/);
    const differ = await runTool('diff', ['-r', '-x', 'lost+found', world.tree, world.dir]);
    t.same([differ.code, differ.stdout], [0, ''], differ.stderr);
    t.throws(() => writeFileSync(join(world.dir, 'new'), ''), 'the mount is read-only');
    const ended = await nbd('umount', world.dir);
    t.same([ended.code, ended.stderr], [0, '']);
    await nothingLeft(t, world);
    t.throws(() => accessSync(own), { code: 'ENOENT' });
  });
}

await test('mount works from any folder, without devices and setuid', async (t) => {
  if (!requireFuse(t, 'mkfs.ext4', 'fuse2fs')) return;
  const world = makeWorld(t);
  await makeLayer(t, world, 'ext4');
  const line = [PROGRAM, 'mount', '--fuse', 'ext4.obd', 'mnt'];
  const { code, stderr } = await runTool(process.execPath, line, { cwd: world.folder });
  t.same([code, stderr], [0, '']);
  const going = processesOf(world.folder);
  t.ok(going.length >= 2, 'nbdfuse and fuse2fs are running');
  const busy = going.filter(({ cwd }) => cwd !== '/');
  t.same(busy, [], 'all run in the root folder');
  const [options = ''] = optionsOf(world.dir);
  t.ok(
    ['nodev', 'nosuid'].every((each) => options.split(',').includes(each)),
    options,
  );
  t.equal((await nbd('umount', world.dir)).code, 0);
  await nothingLeft(t, world);
  if (process.geteuid?.() !== 0) return;
  const allowed = ['--allow-dev', '--allow-suid'];
  const layer = join(world.folder, 'ext4.obd');
  t.equal((await nbd('mount', '--fuse', layer, world.dir, ...allowed)).code, 0);
  t.notMatch(optionsOf(world.dir)[0], /nodev|nosuid/);
  t.equal((await nbd('umount', world.dir)).code, 0);
  await nothingLeft(t, world);
});

await test('one partition of a disk is mounted', async (t) => {
  if (!requireFuse(t, 'mkfs.ext4', 'fuse2fs')) return;
  const world = makeWorld(t);
  await makeLayer(t, world, 'ext4');
  const inside = readFileSync(join(world.folder, 'ext4.img'));
  const disk = Buffer.alloc(1 << 20);
  const image = join(world.folder, 'disk.img');
  const whole = Buffer.concat([disk, inside, Buffer.alloc(64 * SECTOR)]);
  const first = disk.length / SECTOR;
  writeGpt(whole, [null, { first, last: first + inside.length / SECTOR - 1 }]);
  writeFileSync(image, whole);
  const table = await nbd('mount', '--fuse', image, world.dir);
  t.match(table, { code: 1, stderr: /partition table \(GPT\).*--partition N/ });
  const none = await nbd('mount', '--fuse', '--partition', '1', image, world.dir);
  t.match(none, { code: 1, stderr: /partition 1: not in the gpt partition table: it has 2/ });
  const { code, stderr } = await nbd('mount', '--fuse', '--partition', '2', image, world.dir);
  t.same([code, stderr], [0, '']);
  t.equal(readFileSync(join(world.dir, 'hello'), 'latin1'), 'hello\n');
  t.equal((await nbd('umount', world.dir)).code, 0);
  await nothingLeft(t, world);
  const uri = await nbd('mount', '--fuse', '--partition', '2', 'nbd://localhost/x', world.dir);
  t.match(uri, { code: 2, stderr: /--partition: works with --fuse for images/ });
});

await test('an ext4 whose superblock asks for a panic on errors is mounted', async (t) => {
  if (!requireFuse(t, 'mkfs.ext4', 'fuse2fs', 'tune2fs', 'debugfs')) return;
  const world = makeWorld(t);
  await makeLayer(t, world, 'ext4');
  const image = join(world.folder, 'ext4.img');
  await damageFolder(image, '/sub');
  t.equal((await nbd('mount', '--fuse', image, world.dir)).code, 0);
  t.throws(() => readFileSync(join(world.dir, 'sub', 'text')), 'the damaged part cannot be read');
  t.equal(readFileSync(join(world.dir, 'hello'), 'latin1'), 'hello\n', 'other files can be read');
  t.equal((await nbd('umount', world.dir)).code, 0);
  await nothingLeft(t, world);
});

await test('umount of a mount in use is refused; --lazy ends it later', async (t) => {
  if (!requireFuse(t, 'mkfs.ext4', 'fuse2fs', 'sleep')) return;
  const world = makeWorld(t);
  const layer = await makeLayer(t, world, 'ext4');
  t.equal((await nbd('mount', '--fuse', layer, world.dir)).code, 0);
  const own = ownFolder(world.dir);
  const inside = spawn('sh', ['-c', 'read wait; cat random'], { cwd: join(world.dir, 'sub') });
  t.teardown(() => inside.kill('SIGKILL'));
  const refused = await nbd('umount', world.dir);
  t.equal(refused.code, 1);
  t.match(refused.stderr, /busy.*; .*fuser -vm .*umount --lazy/);
  t.equal((await nbd('umount', '--lazy', world.dir)).code, 0);
  t.equal(mounted(world.dir), 0);
  t.throws(() => accessSync(own), { code: 'ENOENT' });
  const parts: Buffer[] = [];
  inside.stdout.on('data', (part: Buffer) => parts.push(part));
  const closed = new Promise((resolve) => {
    inside.once('close', resolve);
  });
  inside.stdin.end('go on\n');
  await closed;
  t.ok(Buffer.concat(parts).equals(randomBytes(2, 300_000)), 'its user could still read');
  await nothingLeft(t, world);
});

await test('another program unmounts the file system: nbdfuse and the server end, too', async (t) => {
  if (!requireFuse(t, 'mkfs.ext4', 'fuse2fs')) return;
  const world = makeWorld(t);
  const layer = await makeLayer(t, world, 'ext4');
  t.equal((await nbd('mount', '--fuse', layer, world.dir)).code, 0);
  const own = ownFolder(world.dir);
  t.teardown(() => rmSync(own, { recursive: true, force: true }));
  t.ok(processesWith(world.folder).length >= 2, 'nbdfuse and fuse2fs are running');
  t.equal((await runTool('fusermount3', ['-u', world.dir])).code, 0);
  await nothingLeft(t, world);
});

await test('an export of a running daemon is mounted by its URI', async (t) => {
  if (!requireFuse(t, 'mkfs.ext4', 'fuse2fs')) return;
  const world = makeWorld(t);
  const layer = await makeLayer(t, world, 'ext4');
  const daemon = await DaemonProcess.start(t, ['--export', `web=${layer}`]);
  const { code, stderr } = await nbd('mount', '--fuse', daemon.unixUri('web'), world.dir);
  t.same([code, stderr], [0, '']);
  t.equal(readFileSync(join(world.dir, 'hello'), 'latin1'), 'hello\n');
  t.equal((await nbd('umount', world.dir)).code, 0);
  t.equal(mounted(world.dir), 0);
});

await test('a failed mount leaves no mount, process or folder', async (t) => {
  if (!requireFuse(t, 'mkfs.xfs')) return;
  const world = makeWorld(t);
  const zeros = join(world.folder, 'zeros.img');
  writeFileSync(zeros, Buffer.alloc(1_000_000));
  const missing = join(world.folder, 'missing.obd');
  for (const [image, message] of [
    [await makeLayer(t, world, 'xfs'), /it holds xfs, for which there is no FUSE program/],
    [zeros, /zeros\.img: cannot be mounted: the first 68 KiB are zeros/],
    [missing, /missing\.obd: there is no such file/],
    ['nbd+unix:///?socket=/no/such/socket', /^overlaybd-nbd: nbdfuse: exit code 1: .*No such file/],
  ] as const) {
    const { code, stderr } = await nbd('mount', '--fuse', image, world.dir);
    t.equal(code, 1);
    t.match(stderr, message);
    await nothingLeft(t, world);
  }
  const notOurs = await nbd('umount', world.dir);
  t.match(notOurs, { code: 1, stderr: /nothing is mounted there/ });
});

await test('errors on the command line', async (t) => {
  const { dir, tree } = makeWorld(t);
  for (const [args, code, message] of [
    [['mount', dir], 2, /name an image, then the folder/],
    [['mount', 'a.obd', dir, '-o', 'nodev,rw'], 2, /-o "rw": images are read-only/],
    [['mount', '--fuse', 'a.obd', dir, '--device', '/dev/nbd0'], 2, /mutually exclusive/],
    [['mount', '--fuse', join(tree, 'hello'), dir, '-o', 'fsname=a'], 2, /-o "fsname=a": has no/],
    [['mount', '--fuse', join(tree, 'hello'), dir, '--partition', '0'], 2, /not the number of a/],
    [['mount', 'a.obd', join(dir, 'none')], 1, /no such folder; create it/],
    [['mount', 'a.obd', join(tree, 'hello')], 2, /not a folder/],
    [['umount', '/proc'], 2, /\/proc: proc \(proc\) is mounted there, not by overlaybd-nbd/],
  ] as const) {
    const result = await nbd(...args);
    t.match(result, { code, stderr: message }, args.join(' '));
  }
});
