// Requests of other NBD clients that begin and end anywhere: the advertised block size must not prevent them. Clients
// that are not installed are skipped by name.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { DaemonProcess, shortFolder } from '../support/daemon-process.js';
import { writeZfileLayer } from '../support/e2e-images.js';
import { nbdsh, requireNbdsh } from '../support/nbdsh.js';
import { findTool, requireTool, runTool } from '../support/tools.js';

const MIB = 1 << 20;
const SECTOR = 512;

const folder = shortFolder(t);
const layer = writeZfileLayer(join(folder, 'layer.obd'), 6, 2 * MIB);
const config = join(folder, 'daemon.json');
const disk = Buffer.alloc(4 * MIB);
const exports: Record<string, string> = { layer: 'layer.obd' };

/** One MBR partition at an odd sector. */
disk.set([0, 0, 0, 0, 0x83, 0, 0, 0, 65, 0, 0, 0, 0x01, 0x10, 0, 0], 446);
disk.set([0x55, 0xaa], 510);
for (let i = SECTOR; i < disk.length; i++) disk[i] = (i * 31 + (i >>> 9)) & 0xff;
writeFileSync(join(folder, 'disk.img'), disk);
exports['disk'] = 'disk.img';

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** The output of nbdcopy through nbdkit, with a filter over an export of the daemon. */
async function throughNbdkit(
  test: Test,
  name: string,
  filter: string,
  ...parameters: string[]
): Promise<Buffer> {
  const out = join(folder, 'out.img');
  rmSync(out, { force: true });
  const from = ['nbd', `uri=${daemon.unixUri(name)}`, ...parameters];
  const args = ['-U', '-', '-r', `--filter=${filter}`, ...from];
  const { code, stderr } = await runTool('nbdkit', [...args, '--run', `nbdcopy "$uri" ${out}`]);
  test.equal(code, 0, stderr);
  return code === 0 ? readFileSync(out) : Buffer.alloc(0);
}

/** An ext4 file system with a file in it, if mkfs is installed. */
async function writeExt4(): Promise<boolean> {
  if (findTool('mkfs.ext4') === null) return false;
  mkdirSync(join(folder, 'tree'));
  writeFileSync(join(folder, 'tree', 'hello.bin'), disk.subarray(SECTOR, SECTOR + 100_001));
  const image = join(folder, 'ext4.img');
  const args = ['-q', '-d', join(folder, 'tree'), '-b', '1024', image, '4096'];
  const { code, stderr } = await runTool('mkfs.ext4', args);
  if (code !== 0) throw new Error(`mkfs.ext4: ${stderr}`);
  return true;
}

const hasExt4 = await writeExt4();
if (hasExt4) exports['ext4'] = 'ext4.img';
writeFileSync(config, JSON.stringify({ exports }));
const daemon = await DaemonProcess.start(t, ['--config', config]);

await t.test('nbdsh reads unaligned ranges with its default strictness', async (test) => {
  if (!(await requireNbdsh(test))) return;
  const told = await nbdsh<{ sizes: number[]; hash: string[] }>(`
h.connect_uri(${JSON.stringify(daemon.unixUri('layer'))})
sizes = [h.get_block_size(i) for i in (nbd.SIZE_MINIMUM, nbd.SIZE_PREFERRED, nbd.SIZE_MAXIMUM)]
ranges = [(3, 511), (1, 0), (511, 2), (4095, 4098), (1, h.get_size() - 1)]
h.flush()
answer({ 'sizes': sizes, 'hash': [hashlib.sha256(h.pread(n, at)).hexdigest() for (n, at) in ranges] })
`);
  test.same(told.sizes, [1, 4096, 32 * MIB]);
  const expected = [
    [3, 511],
    [1, 0],
    [511, 2],
    [4095, 4098],
    [1, layer.length - 1],
  ].map(([count = 0, at = 0]) => sha256(layer.subarray(at, at + count)));
  test.same(told.hash, expected);
});

await t.test('nbdkit filters over its nbd plugin read every byte', async (test) => {
  if (!requireTool(test, 'nbdkit', 'nbdcopy')) return;
  const partition = await throughNbdkit(test, 'disk', 'partition', 'partition=1');
  test.ok(partition.equals(disk.subarray(65 * SECTOR, (65 + 0x1001) * SECTOR)), 'partition');
  const offset = await throughNbdkit(test, 'layer', 'offset', 'offset=77', 'range=10001');
  test.ok(offset.equals(layer.subarray(77, 77 + 10_001)), 'offset');
  const cut = await throughNbdkit(test, 'layer', 'truncate', 'truncate=12345');
  test.ok(cut.equals(layer.subarray(0, 12_345)), 'truncate');
  const longer = await throughNbdkit(test, 'layer', 'truncate', 'round-up=4194304');
  test.ok(longer.subarray(0, layer.length).equals(layer), 'truncate, rounded up');
  if (hasExt4 || requireTool(test, 'mkfs.ext4')) {
    const file = await throughNbdkit(test, 'ext4', 'ext2', 'ext2file=/hello.bin');
    test.ok(file.equals(disk.subarray(SECTOR, SECTOR + 100_001)), 'ext2');
  }
});
