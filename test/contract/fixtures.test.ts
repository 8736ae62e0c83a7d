// Every golden fixture through the daemon's readers in this process, byte for byte, without NBD.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import tap, { test, type Test } from 'tap';
import { OverlaybdError, type ErrorCode } from '../../daemon/errors.js';
import type { Disk } from '../../daemon/lib/disk.js';
import {
  copyFiles,
  expectedSha256,
  fixtureNames,
  fixturesRoot,
  withHoles,
} from '../support/fixtures.js';
import { readRange, withDevice } from '../support/in-process.js';

// Gigabytes are hashed: on a busy machine that may take longer than tap's 30 seconds a file.
tap.setTimeout(900_000);

/** Bytes of a read of the reference: the whole disk is read so. */
const WINDOW = 128 * 1024;
/** One block, and one that is never aligned: zeros are read so only where they are near data, and at both ends. */
const SMALL_SIZES = [4096, 7 * 1024 - 13];
const ZEROS = Buffer.alloc(WINDOW);

/** Required facts of each error: the file, its section, and what is wrong. */
const REFUSALS: Readonly<Record<string, readonly [ErrorCode, RegExp]>> = {
  'neg-l01-zeroed-moffset0': [
    'BAD_FORMAT',
    /\/layer1\.obd: lsmt index entry 1 moffset \(zeroed\) at byte \d+: expected sectors 8 to 17, got 0$/,
  ],
  'neg-l02-unsorted': [
    'BAD_FORMAT',
    /\/layer1\.obd: lsmt index entry 1 offset at byte \d+: expected sector 24 or later, got 1$/,
  ],
  'neg-l04-data-past-index': [
    'BAD_FORMAT',
    /\/layer1\.obd: lsmt index entry 2 moffset at byte \d+: .* 8 to 17.*, got 10 to 18$/,
  ],
  'neg-l05-trailer-unsealed': [
    'BAD_FORMAT',
    /\/layer1\.obd: lsmt trailer flags at byte \d+: expected .*sealed set.*, got 0x2$/,
  ],
  'neg-l07-index-too-big': [
    'BAD_FORMAT',
    /\/layer1\.obd: lsmt index size at byte \d+: expected at most 1000000 entries, got 1000001$/,
  ],
  'neg-r02-data-truncated': [
    'BAD_FORMAT',
    /\/upper\.index: lsmt index entry 3 moffset at byte \d+: .* 8 to 17.*, got 17 to 18$/,
  ],
  'neg-z01-crc-flip': [
    'BAD_CHECKSUM',
    /\/layer0\.obd \(zfile\): block 2 at byte 1906: expected checksum 0x4c9ca631, got 0x6fd2ad17$/,
  ],
  'neg-z02-header-digest': [
    'BAD_CHECKSUM',
    /\/layer0\.obd: zfile header digest at byte 28: expected checksum 0x8ec87c96, got 0x7a21e96b$/,
  ],
  'neg-z04-trailer-zero-trailer-mode': [
    'BAD_FORMAT',
    /\/layer0\.obd: zfile trailer magic at byte 25177: expected 5a46.*, got 0{48}$/,
  ],
  'neg-z06-tail-garbage-trailer-mode': [
    'BAD_FORMAT',
    /\/layer0\.obd: zfile trailer magic at byte 29273: expected 5a46.*, got 0{48}$/,
  ],
  'neg-z10-bs12288': [
    'BAD_FORMAT',
    /\/layer0\.obd: zfile block size at byte \d+: expected a power of two from 512 to 65536, got 12288$/,
  ],
};

/** Refused by the reference and read here: the disk equals that of another fixture. */
const READABLE: Readonly<Record<string, string>> = {
  'neg-04-lz4-64k-incompressible': '01-raw-lsmt',
};

const root = fixturesRoot();
const absent =
  root === null && 'FIXTURES NOT FOUND: neither ../shared/fixtures nor $OVERLAYBD_FIXTURES';

await test('every golden fixture is read exactly or refused', { skip: absent }, async (t) => {
  if (root === null) return;
  const names = fixtureNames(root);
  t.ok(names.length > 0, 'the folder is not empty');
  for (const name of names) {
    await t.test(name, async (each) => {
      const folder = join(root, name);
      const config = withHoles(folder, () => each.testdir());
      if (config === null) {
        each.pass('tar is not installed, or its folder cannot be unpacked', { skip: 'no tar -S' });
        return;
      }
      const expected = expectedSha256(root, READABLE[name] ?? name);
      if (expected === null) {
        await refused(each, name, folder, config);
        return;
      }
      const { sha256, differences } = await readWhole(config);
      each.equal(sha256, expected, `in reads of ${WINDOW} bytes`);
      each.same(differences, [], `in reads of ${SMALL_SIZES.join(' and ')} bytes`);
    });
  }
});

await test('no fixture is written to', { skip: absent }, async (t) => {
  if (root === null) return;
  for (const name of fixtureNames(root).filter((each) => /^(09|odd-r|ctl-base-rw)/.test(each))) {
    const folder = t.testdir();
    copyFiles(join(root, name), folder, () => true);
    const before = contents(folder);
    await readWhole(join(folder, 'config.v1.json'));
    t.same(contents(folder), before, name);
  }
});

async function refused(t: Test, name: string, folder: string, config: string): Promise<void> {
  t.ok(existsSync(join(folder, 'expected.error')), 'expected.sha256 or expected.error');
  const known = REFUSALS[name];
  const error: unknown = await readWhole(config).then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(error instanceof OverlaybdError)) {
    t.fail('the fixture must be refused with an OverlaybdError', { error });
    return;
  }
  if (known) {
    t.equal(error.code, known[0]);
    t.match(error.message, known[1]);
  } else {
    // For a newer fixture the error must at least name the file.
    t.match(error.message, new RegExp(`/${name}/[^:]+: .`), error.message);
  }
}

/** What is read of a disk in windows, and where smaller reads give something else. */
interface Whole {
  readonly sha256: string;
  readonly differences: readonly string[];
}

async function readWhole(config: string): Promise<Whole> {
  return withDevice([config], async ({ device }) => {
    const hash = createHash('sha256');
    const cursor = { hint: 0 };
    const windows = new Map<number, Buffer>();
    for (let at = 0; at < device.size; at += WINDOW) {
      const bytes = await readRange(device, at, Math.min(WINDOW, device.size - at), cursor);
      hash.update(bytes);
      if (!bytes.equals(ZEROS.subarray(0, bytes.length))) windows.set(at / WINDOW, bytes);
    }
    const found = await Promise.all(SMALL_SIZES.map((size) => differenceOf(device, windows, size)));
    return { sha256: hash.digest('hex'), differences: found.filter((each) => each !== null) };
  });
}

/** @param windows those with more than zeros, by number. @returns the first read that differs, or null */
async function differenceOf(
  device: Disk,
  windows: ReadonlyMap<number, Buffer>,
  size: number,
): Promise<string | null> {
  const cursor = { hint: 0 };
  for (let at = 0; at < device.size; at += size) {
    const length = Math.min(size, device.size - at);
    const [first, last] = [at, at + length - 1].map((each) => Math.floor(each / WINDOW)) as [
      number,
      number,
    ];
    const expected = Buffer.alloc(length);
    let isNear = at === 0 || at + length === device.size;
    for (let number = first - 1; number <= last + 1; number++) {
      const bytes = windows.get(number);
      if (!bytes) continue;
      isNear = true;
      const begin = number * WINDOW;
      const [from, to] = [Math.max(at, begin), Math.min(at + length, begin + bytes.length)];
      if (from < to) expected.set(bytes.subarray(from - begin, to - begin), from - at);
    }
    if (!isNear) continue;
    const got = await readRange(device, at, length, cursor);
    if (!got.equals(expected)) return `${length} bytes at ${at}`;
  }
  return null;
}

function contents(folder: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(folder).map((name) => [
      name,
      createHash('sha256')
        .update(readFileSync(join(folder, name)))
        .digest('hex'),
    ]),
  );
}
