// Copies and proxies by other programs: only data is sent and written to a disk.
import { createReadStream, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import t, { type Test } from 'tap';
import { DaemonProcess, shortFolder } from '../support/daemon-process.js';
import { writeSparseStack } from '../support/e2e-images.js';
import { SECTOR } from '../support/lsmt-layout.js';
import { writeLsmt, type LsmtSegment } from '../support/lsmt-writer.js';
import { randomBytes } from '../support/pattern.js';
import { requireTool, runTool, type ToolResult } from '../support/tools.js';

const MIB = 1 << 20;
const TIB = 1024 ** 4;
/** Overhead of file systems and image formats, added to the data. */
const SLACK = 8 * MIB;
/** In sectors; a multiple of the blocks of every file system and of qcow2 clusters. */
const PART = (2 * MIB) / SECTOR;
const MIDDLE = TIB / 2 / SECTOR;

const folder = shortFolder(t);
const parts: LsmtSegment[] = [0, MIDDLE, TIB / SECTOR - PART].map((offset, i) => ({
  offset,
  length: PART,
  data: randomBytes(i + 1, PART * SECTOR),
}));
// A TiB of zeros in a layer must cost as little as a TiB that is in no layer.
const zeroed = { offset: MIDDLE + 10 * PART, length: MIDDLE / 2, zeroed: true };
const segments = [...parts.slice(0, 2), zeroed, ...parts.slice(2)];
writeFileSync(join(folder, 'huge.obd'), writeLsmt({ virtualSize: TIB, segments }));
const mapped = parts.length * PART * SECTOR;

const sparse = writeSparseStack(folder);
writeFileSync(
  join(folder, 'daemon.json'),
  JSON.stringify({ exports: { huge: 'huge.obd', sparse: sparse.layers } }),
);
const daemon = await DaemonProcess.start(t, ['--config', join(folder, 'daemon.json')]);

const onDisk = (path: string): number => statSync(path).blocks * 512;

async function hashOf(path: string, start: number, length: number): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { start, end: start + length - 1 }), hash);
  return hash.digest('hex');
}

/** Whether a raw copy of the export `huge` has the data at its place, and nothing else. */
async function checkHuge(test: Test, path: string): Promise<void> {
  test.equal(statSync(path).size, TIB);
  test.ok(onDisk(path) <= mapped + SLACK, `${onDisk(path)} bytes on disk for ${mapped} of data`);
  for (const { offset, data } of parts) {
    const expected = createHash('sha256')
      .update(data as Uint8Array)
      .digest('hex');
    test.equal(await hashOf(path, offset * SECTOR, PART * SECTOR), expected, `sector ${offset}`);
  }
}

/** Some file systems do not support files of a TiB; there the test is skipped by name. */
function canHoldHuge(test: Test): boolean {
  const path = join(folder, 'probe');
  writeFileSync(path, '');
  try {
    truncateSync(path, TIB);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EFBIG') throw error;
    test.pass('sparse copy', { skip: `NOT TESTED, no files of 1 TiB here: ${String(error)}` });
    return false;
  } finally {
    rmSync(path);
  }
}

await t.test('nbdcopy of a mostly empty TiB copies its data only', async (test) => {
  if (!requireTool(test, 'nbdcopy') || !canHoldHuge(test)) return;
  const out = join(folder, 'huge.copy');
  const { code, stderr } = await runTool('nbdcopy', [daemon.unixUri('huge'), out]);
  test.equal(code, 0, stderr);
  await checkHuge(test, out);
  rmSync(out);
});

await t.test('qemu-img convert keeps holes', async (test) => {
  if (!requireTool(test, 'qemu-img')) return;
  const qcow2 = join(folder, 'huge.qcow2');
  const convert = ['convert', '-f', 'raw', '-O', 'qcow2', daemon.unixUri('huge'), qcow2];
  const made = await runTool('qemu-img', convert);
  test.equal(made.code, 0, made.stderr);
  test.ok(onDisk(qcow2) >= mapped && onDisk(qcow2) <= mapped + SLACK, `qcow2: ${onDisk(qcow2)}`);
  const compare = ['compare', '-f', 'raw', '-F', 'qcow2', daemon.unixUri('huge'), qcow2];
  const same = await runTool('qemu-img', compare);
  test.equal(same.code, 0, same.stdout + same.stderr);
  test.match(same.stdout, /identical/);
  rmSync(qcow2);
  if (!canHoldHuge(test)) return;
  const raw = join(folder, 'huge.raw');
  const args = ['convert', '-f', 'raw', '-O', 'raw', daemon.unixUri('huge'), raw];
  const copied = await runTool('qemu-img', args);
  test.equal(copied.code, 0, copied.stderr);
  await checkHuge(test, raw);
  rmSync(raw);
});

/** Runs a shell command with the proxied export at $uri; nbdkit ends with it. */
function through(name: string, command: string): Promise<ToolResult> {
  const nbdkit = ['-U', '-', 'nbd', `uri=${daemon.unixUri(name)}`, '--run', command];
  return runTool('nbdkit', nbdkit);
}

await t.test('nbdkit as a proxy shows the same data and map', async (test) => {
  if (!requireTool(test, 'nbdkit', 'nbdinfo', 'nbdcopy')) return;
  const out = join(folder, 'proxied');
  for (const name of ['sparse', 'huge']) {
    const direct = await runTool('nbdinfo', ['--json', '--map', daemon.unixUri(name)]);
    const map = await through(name, 'nbdinfo --json --map "$uri"');
    test.equal(map.code, 0, map.stderr);
    test.same(JSON.parse(map.stdout), JSON.parse(direct.stdout), `${name}: the same map`);
  }
  const info = await through('sparse', 'nbdinfo --json "$uri"');
  test.match((JSON.parse(info.stdout) as { exports: unknown[] }).exports, [
    {
      'export-size': sparse.virtualSize,
      is_read_only: true,
      can_cache: true,
      can_multi_conn: true,
      can_df: true,
      is_rotational: false,
    },
  ]);
  if (!canHoldHuge(test)) return;
  const copy = await through('huge', `nbdcopy "$uri" ${out}`);
  test.equal(copy.code, 0, copy.stderr);
  await checkHuge(test, out);
  rmSync(out);
});

await t.test('qemu-nbd --list shows the exports', async (test) => {
  if (!requireTool(test, 'qemu-nbd')) return;
  const { code, stdout, stderr } = await runTool('qemu-nbd', ['--list', '-k', daemon.socketPath]);
  test.equal(code, 0, stderr);
  test.match(stdout, /exports available: 2/);
  for (const line of [
    /export: 'huge'/,
    new RegExp(`size: +${TIB}`),
    /readonly/,
    /df/,
    /multi/,
    /cache/,
    /flush/,
    /min block: 1\b/,
    /opt block: 4096/,
    /max block: 33554432/,
    /available meta contexts: 2/,
    /base:allocation/,
    /overlaybd:layer/,
  ]) {
    test.match(stdout, line);
  }
  test.notMatch(stdout, /rotational/);
});

await t.test('qemu-io reads as from a raw image', async (test) => {
  if (!requireTool(test, 'qemu-io')) return;
  const commands = ['-c', 'map', '-c', 'read -P 0 1G 32M', '-c', 'read 0 2M'];
  const args = ['-r', '-f', 'raw', ...commands, daemon.unixUri('huge')];
  const { code, stdout, stderr } = await runTool('qemu-io', args);
  test.equal(code, 0, stderr);
  test.match(
    stdout,
    /1 TiB \(0x10000000000\) bytes +allocated at offset 0 bytes/,
    'the same as raw images',
  );
  test.match(stdout, /read 33554432\/33554432 bytes/);
  test.notMatch(stdout, /Pattern verification failed/);
});

await t.test('the daemon sent little data, and logged no warning or error', async (test) => {
  const sent = daemon.lines(/ closed: /).map((line) => Number(/(\d+) bytes? sent/.exec(line)?.[1]));
  for (const bytes of sent)
    test.ok(bytes <= mapped + 4 * MIB, `${bytes} bytes for ${mapped} of data`);
  test.same(daemon.lines(/ (warn|error): /), []);
  await daemon.stop(test);
});
