// `ls`, `tree`, `stat`, `cat` and `cp` as programs: archives, eStargz and zstd:chunked, from files, layouts and registries.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import t from 'tap';
import { commandLine, DaemonProcess, runDaemon, shortFolder } from '../support/daemon-process.js';
import { writeEstargz, type TocFile } from '../support/estargz-writer.js';
import { requireLazyFixtures } from '../support/lazy-fixtures.js';
import { RawNbdClient } from '../support/nbd-client.js';
import { writeGpt } from '../support/partition-writer.js';
import { randomBytes } from '../support/pattern.js';
import { ImageLayout } from '../support/registry/image-layout.js';
import { pushFiles, type FilesLayer } from '../support/registry/push-image.js';
import { remoteImage, remoteOptions, REPOSITORY } from '../support/registry/remote-image.js';
import { requireTool, runTool } from '../support/tools.js';
import { chunked, estargz, noise, words } from '../support/two-layers.js';
import { until } from '../support/until.js';
import { writeUstar } from '../support/ustar.js';

t.setTimeout(600_000);

const plain = writeUstar([
  { name: 'plain', bytes: Buffer.from('plain\n') },
  { name: 'sh', type: '2', link: '/bin/noise' },
  { name: 'out', type: '2', link: '../../../../../../etc' },
  { name: 'bad\u001b[31m\n', bytes: Buffer.from('x') },
]);
const LAYER = 'application/vnd.oci.image.layer.v1.tar';
const layers: FilesLayer[] = [
  {
    bytes: estargz.blob,
    mediaType: `${LAYER}+gzip`,
    annotations: { 'containerd.io/snapshot/stargz/toc.digest': estargz.digest },
  },
  { bytes: gzipSync(plain), mediaType: `${LAYER}+gzip` },
  {
    bytes: chunked.blob,
    mediaType: `${LAYER}+zstd`,
    annotations: {
      'io.github.containers.zstd-chunked.manifest-checksum': chunked.digest,
    },
  },
];
const LISTED = '/:\nbad\u001b[31m\n\nbin\nhard\nout\nplain\nsh\nwords\n\n/bin:\nnoise\n';

/** Whether a command that looks inside a disk has it mounted. */
function isLooking(): boolean {
  return readFileSync('/proc/self/mountinfo', 'utf8').includes('/overlaybd-nbd-look-');
}

/** A process that has ended, and for which its parent has not waited, counts as one that does not run. */
function isRunning(pid: string): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
}

/** Standard output as bytes. */
async function outputOf(args: readonly string[]): Promise<{ code: number | null; bytes: Buffer }> {
  const [program, ...rest] = commandLine(args);
  const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
  const parts: Buffer[] = [];
  child.stdout.on('data', (part: Buffer) => parts.push(part));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, bytes: Buffer.concat(parts) };
}

await t.test('several layers given as files', async (test) => {
  const folder = shortFolder(test);
  const paths = layers.map(({ bytes }, i) => {
    const path = join(folder, `layer${i}`);
    writeFileSync(path, bytes);
    return path;
  });
  const listed = await runDaemon(['ls', '-R', ...paths, '--', '/']);
  test.equal(listed.stdout, LISTED, listed.stderr);
  test.equal(listed.code, 0);
  const all = await outputOf(['cat', ...paths, '--', 'words', '/sh', 'bin/../hard']);
  test.equal(all.code, 0);
  test.ok(all.bytes.equals(Buffer.concat([words, noise, words])));
  const json = await runDaemon(['ls', '--json', ...paths, '--', 'bad\u001b[31m\n', 'hard']);
  test.notOk(json.stdout.includes('\u001b'));
  test.match(JSON.parse(json.stdout), {
    files: [
      { path: '/bad\u001b[31m\n' },
      { path: '/hard', links: 2, size: words.length, layer: 2 },
    ],
  });
  const tree = await runDaemon(['tree', ...paths, '--', 'bin']);
  test.equal(tree.stdout, 'bin\n└── noise\n\n0 directories, 1 file\n');
  const trees = await runDaemon(['tree', '--json', ...paths, '--', 'bin']);
  test.match(JSON.parse(trees.stdout), { files: [{ path: '/bin/noise', mode: '0755' }] });
});

await t.test('one layer alone', async (test) => {
  const layout = new ImageLayout(join(shortFolder(test), 'layout'));
  await pushFiles(layout, 'app', layers);
  const name = `oci:${layout.folder}:app`;
  const listed = await runDaemon(['ls', '-lR', '--layer', '2', name]);
  test.match(listed.stdout, /^c--------- 1 0 0 0, 0 1970-01-01 00:00 gone$/m, listed.stderr);
  const json = await runDaemon(['stat', '--json', '--layer', '2', name, 'words']);
  test.match(JSON.parse(json.stdout), { files: [{ path: '/words', layer: 2 }] });
  const verified = await runDaemon(['verify', '--layer', '0', name]);
  test.equal(verified.code, 0, verified.stderr);
  const none = await runDaemon(['inspect', '--layer', '3', name]);
  test.equal(none.code, 2);
  test.match(none.stderr, /--layer 3: it has 3 layers, and the bottom one is 0/);
  const daemon = await DaemonProcess.start(test, [name, '--layer', '2']);
  const client = await RawNbdClient.open(daemon.unix);
  test.equal((await client.read(0, 4096)).readUInt32LE(1024), 0xe0f5_e1e2);
  await client.disconnect();
  await daemon.stop(test);
});

await t.test('--insecure-toc lists a layer by its table, and not as an archive', async (test) => {
  const layout = new ImageLayout(join(shortFolder(test), 'layout'));
  const [first, second, third] = layers as [FilesLayer, FilesLayer, FilesLayer];
  await pushFiles(layout, 'app', [{ ...first, annotations: {} }, second, third]);
  const name = `oci:${layout.folder}:app`;
  const archive = await runDaemon(['ls', name]);
  test.match(archive.stdout, /^stargz\.index\.json$/m, archive.stderr);
  const listed = await runDaemon(['ls', '-R', '--insecure-toc', name]);
  test.equal(listed.stdout, LISTED, listed.stderr);
});

await t.test('a path that is not there fails, and the others are shown', async (test) => {
  const path = join(shortFolder(test), 'layer.tar');
  writeFileSync(path, plain);
  const cat = await runDaemon(['cat', path, 'none', 'plain', 'out/passwd']);
  test.equal(cat.code, 1);
  test.equal(cat.stdout, 'plain\n');
  test.match(cat.stderr, /^overlaybd-nbd: "none": the image has no such file\n/);
  test.match(cat.stderr, /"out\/passwd": the image has no such file\n$/);
  const stat = await runDaemon(['stat', path, 'none', 'plain']);
  test.equal(stat.code, 1);
  test.match(stat.stdout, /^plain\n {2}type {6}regular file\n {2}size {6}6\n/);
  const json = await runDaemon(['stat', '-L', '--json', path, 'sh', 'plain']);
  test.equal(json.code, 1);
  test.match(JSON.parse(json.stdout), { files: [{ path: '/plain', size: 6 }] });
  const ls = await runDaemon(['ls', path, 'none']);
  test.equal(ls.code, 1);
  test.equal((await runDaemon(['cat', path])).code, 2);
  test.equal((await runDaemon(['tree', '-L', '0', path])).code, 2);
});

await t.test('a reader that goes away ends cat quietly', async (test) => {
  const path = join(shortFolder(test), 'layer.tar');
  writeFileSync(path, writeUstar([{ name: 'noise', bytes: noise }]));
  const names = Array.from({ length: 50 }, () => 'noise');
  const [program, ...rest] = commandLine(['cat', path, ...names]);
  const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
  let stderr = '';
  child.stderr.on('data', (part: Buffer) => {
    stderr += part.toString();
  });
  child.stdout.once('data', () => child.stdout.destroy());
  const [code] = (await once(child, 'close')) as [number | null];
  test.equal(code, 0);
  test.equal(stderr, '');
});

await t.test('cp: files and folders, never outside the destination', async (test) => {
  const folder = shortFolder(test);
  const path = join(folder, 'layer.tar');
  const out = join(folder, 'out');
  mkdirSync(out);
  writeFileSync(
    path,
    writeUstar([
      { name: 'etc/passwd', bytes: Buffer.from('x'), mode: 0o4755, mtime: 5 },
      { name: 'to', type: '2', link: out },
      { name: '../../up', bytes: Buffer.from('up') },
      { name: 'link', type: '2', link: 'etc/passwd' },
    ]),
  );
  const dest = join(folder, 'dest');
  mkdirSync(dest);
  symlinkSync(out, join(dest, 'etc'));
  const refused = await runDaemon(['cp', path, 'etc', dest]);
  test.equal(refused.code, 1);
  test.match(refused.stderr, /dest\/etc": is not a folder/);
  rmSync(join(dest, 'etc'));
  const all = await runDaemon(['cp', path, '/', dest]);
  test.equal(all.code, 0, all.stderr);
  test.same(readdirSync(dest), ['etc', 'link', 'to', 'up']);
  test.equal(readlinkSync(join(dest, 'to')), out);
  // Again, onto the symlinks of the first copy.
  test.equal((await runDaemon(['cp', path, '/', dest])).code, 0);
  const one = await runDaemon(['cp', path, 'link', join(dest, 'one')]);
  test.equal(one.code, 0, one.stderr);
  test.equal(readFileSync(join(dest, 'one'), 'utf8'), 'x');
  test.equal(lstatSync(join(dest, 'one')).mode & 0o7000, 0);
  const slash = await runDaemon(['cp', path, 'link', `${join(dest, 'new')}/`]);
  test.equal(slash.code, 1);
  test.match(slash.stderr, /"link": not a directory; the destination ends with a slash/);
  test.notOk(existsSync(join(dest, 'new')));
  test.equal((await runDaemon(['cp', path, 'etc', `${join(dest, 'new')}/`])).code, 0);
  test.equal(readFileSync(join(dest, 'new/passwd'), 'utf8'), 'x');
  const kept = await runDaemon(['cp', '-a', path, 'link', 'etc/passwd', 'none', dest]);
  test.equal(kept.code, 1);
  test.match(kept.stderr, /"none": the image has no such file/);
  test.equal(readlinkSync(join(dest, 'link')), 'etc/passwd');
  test.equal(lstatSync(join(dest, 'passwd')).mtimeMs, 5000);
  test.same(readdirSync(out), []);
  test.equal((await runDaemon(['cp', path, 'etc'])).code, 2);
  test.equal((await runDaemon(['cp', path, 'etc', 'to', join(dest, 'nowhere')])).code, 1);
});

await t.test('from a layout', async (test) => {
  const layout = new ImageLayout(join(shortFolder(test), 'layout'));
  await pushFiles(layout, 'app', layers);
  const listed = await runDaemon(['ls', '-R', `oci:${layout.folder}:app`]);
  test.equal(listed.stdout, LISTED, listed.stderr);
});

await t.test('from a registry: fetches what it needs', async (test) => {
  const { front, layout } = await remoteImage(test);
  const big = randomBytes(3, 20_000_000);
  const files: TocFile[] = [
    { entry: { name: 'big', type: 'reg' }, bytes: big },
    { entry: { name: 'small', type: 'reg' }, bytes: words },
  ];
  const { blob, digest } = writeEstargz(files, { form: 'eStargz', pieceSize: 1 << 20 });
  const annotations = { 'containerd.io/snapshot/stargz/toc.digest': digest };
  await pushFiles(layout, 'files', [{ bytes: blob, mediaType: `${LAYER}+gzip`, annotations }]);
  const cache = join(shortFolder(test), 'cache');
  const name = front.name(REPOSITORY, 'files');
  const options = remoteOptions([front], cache);
  const listed = await runDaemon(['ls', name, ...options]);
  test.equal(listed.stdout, 'big\nsmall\n', listed.stderr);
  const small = await outputOf(['cat', name, '/small', ...options]);
  test.ok(small.bytes.equals(words));
  const fetched = front.log.requests.reduce((sum, { bytes }) => sum + bytes, 0);
  test.ok(fetched < 4_000_000, `${fetched} bytes`);
  test.same(front.log.violations(), []);
});

await t.test('a disk: the file system is mounted while the command runs', async (test) => {
  if (!requireTool(test, 'nbdfuse', 'fusermount3', 'mkfs.ext4', 'fuse2fs')) return;
  if (!existsSync('/dev/fuse')) {
    test.pass('/dev/fuse', { skip: 'NOT TESTED: there is no /dev/fuse' });
    return;
  }
  const folder = shortFolder(test);
  const [tree, disk] = [join(folder, 'tree'), join(folder, 'disk')];
  mkdirSync(join(tree, 'etc'), { recursive: true });
  writeFileSync(join(tree, 'etc/words'), words);
  symlinkSync('/etc/words', join(tree, 'link'));
  writeFileSync(disk, '');
  truncateSync(disk, 16 << 20);
  const made = await runTool('mkfs.ext4', ['-q', '-F', '-d', tree, disk], { timeout: 120_000 });
  test.equal(made.code, 0, made.stderr);
  const listed = await runDaemon(['ls', '-R', disk]);
  test.equal(listed.code, 0, listed.stderr);
  test.equal(listed.stdout, '/:\netc\nlink\nlost+found\n\n/etc:\nwords\n\n/lost+found:\n');
  const printed = await outputOf(['cat', disk, 'link']);
  test.ok(printed.bytes.equals(words));
  const copied = await runDaemon(['cp', disk, '/', join(folder, 'copy')]);
  test.equal(copied.code, 0, copied.stderr);
  test.ok(readFileSync(join(folder, 'copy/etc/words')).equals(words));
  test.equal((await runDaemon(['stat', disk, 'none'])).code, 1);
  // Other suites on this machine may look inside disks, too.
  for (let i = 0; i < 1200 && isLooking(); i++) await pause(100);
  test.notOk(isLooking(), 'unmounted');
  const parted = join(folder, 'parted');
  const bytes = Buffer.alloc(20 << 20);
  writeGpt(bytes, [
    { first: 2048, last: 2048 + (16 << 11) - 1, name: 'root\u001b' },
    { first: 36_864, last: 36_999 },
  ]);
  readFileSync(disk).copy(bytes, 1 << 20);
  writeFileSync(parted, bytes);
  const whole = await runDaemon(['ls', parted]);
  test.match(
    whole.stderr,
    /parted: it has a partition table \(GPT\) with 1 \(16\.0 MiB, "root\\u\{1b\}"\), 2 \(68\.0 KiB\): look at one of them with --partition N/,
  );
  const one = await runDaemon(['ls', parted, '--partition', '1']);
  test.match([one.code, one.stdout], [0, 'etc\nlink\nlost+found\n'], one.stderr);
  const second = await runDaemon(['ls', parted, '-p', '2']);
  test.match(
    second.stderr,
    /parted \(partition 2\): cannot be mounted: the first 68 KiB are zeros/,
  );
  if (requireTool(test, 'debugfs')) {
    for (const change of ['set_inode_field etc/words mode 0140644', 'link etc etc/self']) {
      const changed = await runTool('debugfs', ['-w', '-R', change, disk]);
      test.equal(changed.code, 0, changed.stderr);
    }
    // The file is a socket now, which is left out.
    const broken = await runDaemon(['ls', '-R', disk]);
    test.equal(broken.code, 1);
    test.equal(broken.stdout, '/:\netc\nlink\nlost+found\n\n/etc:\nself\n\n/lost+found:\n');
    test.match(broken.stderr, /"etc\/self": a directory that is inside itself/);
  }
  writeFileSync(disk, Buffer.alloc(1 << 20));
  const empty = await runDaemon(['ls', disk]);
  test.equal(empty.code, 1);
  test.match(empty.stderr, /cannot be mounted: the first 68 KiB are zeros/);
});

await t.test(
  'a disk that another program unmounts: an error, and no stack of calls',
  async (test) => {
    if (!requireTool(test, 'nbdfuse', 'fusermount3', 'mkfs.ext4', 'fuse2fs')) return;
    if (!existsSync('/dev/fuse')) {
      test.pass('/dev/fuse', { skip: 'NOT TESTED: there is no /dev/fuse' });
      return;
    }
    const folder = shortFolder(test);
    const [tree, disk] = [join(folder, 'tree'), join(folder, 'disk')];
    mkdirSync(tree);
    writeFileSync(join(tree, 'noise'), noise);
    writeFileSync(disk, '');
    truncateSync(disk, 16 << 20);
    const made = await runTool('mkfs.ext4', ['-q', '-F', '-d', tree, disk], { timeout: 120_000 });
    test.equal(made.code, 0, made.stderr);
    const [program, ...rest] = commandLine(['cat', disk, 'noise']);
    const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
    let stderr = '';
    child.stderr.on('data', (part: Buffer) => {
      stderr += part.toString();
    });
    const closed = once(child, 'close');
    // The pipe is full then, and the file is open.
    await Promise.race([once(child.stdout, 'readable'), closed]);
    const open = `/proc/${child.pid}/fd`;
    const paths = readdirSync(open).map((fd) => {
      try {
        return readlinkSync(join(open, fd));
      } catch {
        return '';
      }
    });
    const dir = dirname(paths.find((path) => path.includes('/overlaybd-nbd-look-')) ?? '');
    test.match(dir, /overlaybd-nbd-look-[^/]+$/, paths.join(' '));
    const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
    const mount = mounts.find((line) => line.split(' ')[4] === dir) ?? '';
    const fuse = /\S*\/overlaybd-nbd-fuse-[^/]+(?=\/disk\/nbd )/.exec(mount)?.[0] ?? '';
    test.not(fuse, '', mount);
    const nbdfuse = readFileSync(join(fuse, 'pid'), 'utf8').trim();
    const unmounted = await runTool('fusermount3', ['-u', '-z', dir]);
    test.equal(unmounted.code, 0, unmounted.stderr);
    // The folder cannot be removed.
    writeFileSync(join(dir, 'other'), '');
    child.stdout.resume();
    const [code] = (await closed) as [number | null];
    rmSync(dir, { recursive: true });
    test.equal(code, 1, stderr);
    test.match(stderr, /^overlaybd-nbd: .*another program has unmounted it/);
    test.notOk(existsSync(fuse), 'nothing is left');
    await until(() => !isRunning(nbdfuse));
    test.notMatch(stderr, /\n +at |ENOTEMPTY/);
  },
);

await t.test('a disk without the programs that show it', async (test) => {
  const disk = join(shortFolder(test), 'disk');
  writeFileSync(disk, Buffer.alloc(1 << 20));
  if (['/usr/bin', '/bin', '/usr/sbin', '/sbin'].some((at) => existsSync(join(at, 'nbdfuse')))) {
    test.pass('nbdfuse', { skip: 'NOT TESTED: nbdfuse is installed' });
    return;
  }
  const { code, stderr } = await runDaemon(['ls', disk]);
  test.equal(code, 1);
  test.match(stderr, /nbdfuse: not found; apt install libnbd-bin fuse3/);
});

await t.test('fixtures: what the formats’ own tools made', async (test) => {
  const root = requireLazyFixtures(test);
  if (root === null) return;
  for (const blob of ['f10-estargz/layer.tar.gz', 'f18-zstdchunked-storage-new/layer.tar.zst']) {
    const listed = await runDaemon(['ls', '-laR', join(root, blob)]);
    test.equal(listed.code, 0, listed.stderr);
    test.match(listed.stdout, /^-rw/m);
  }
});
