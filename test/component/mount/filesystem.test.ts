// Detection of file systems: those that the local mkfs programs make, damaged ones, and other data.
import { openSync, closeSync, ftruncateSync, mkdirSync, readSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import {
  detectFilesystem,
  type Detected,
  type Filesystem,
} from '../../../daemon/mount/filesystem.js';
import { readDevice } from '../../../daemon/mount/mount-device.js';
import { shortFolder } from '../../support/daemon-process.js';
import { requireTool, runTool } from '../../support/tools.js';

const detectAll = (bytes: Buffer): Promise<Detected> =>
  detectFilesystem('/dev/nbd7', async (offset, length) => bytes.subarray(offset, offset + length));

const detect = async (bytes: Buffer): Promise<Filesystem> => (await detectAll(bytes)).type;

interface Maker {
  type: Filesystem;
  tool: string;
  /** The type that the tool makes. */
  blockSize?: number;
  /** Bytes; null: the tool makes the file. */
  size: number | null;
  args: (image: string, tree: string) => string[];
}

const MIB = 1024 ** 2;
const MAKERS: readonly Maker[] = [
  { type: 'ext4', tool: 'mkfs.ext4', size: 8 * MIB, args: (image) => ['-q', '-F', image] },
  {
    type: 'ext4',
    tool: 'mkfs.ext2',
    size: 2 * MIB,
    blockSize: 4096,
    args: (image) => ['-q', '-F', '-b', '4096', image],
  },
  {
    type: 'ext4',
    tool: 'mkfs.ext3',
    size: 8 * MIB,
    blockSize: 1024,
    args: (image) => ['-q', '-F', '-b', '1024', image],
  },
  {
    type: 'xfs',
    tool: 'mkfs.xfs',
    size: 320 * MIB,
    blockSize: 4096,
    args: (image) => ['-q', '-s', 'size=4096', image],
  },
  { type: 'btrfs', tool: 'mkfs.btrfs', size: 128 * MIB, args: (image) => ['-q', image] },
  { type: 'erofs', tool: 'mkfs.erofs', size: null, args: (image, tree) => [image, tree] },
  {
    type: 'squashfs',
    tool: 'mksquashfs',
    size: null,
    args: (image, tree) => [tree, image, '-quiet', '-no-progress'],
  },
];

/** The first 68 KiB. */
function headOf(image: string): Buffer {
  const head = Buffer.alloc(68 * 1024);
  const fd = openSync(image, 'r');
  try {
    return head.subarray(0, readSync(fd, head));
  } finally {
    closeSync(fd);
  }
}

/** The path of the image, or null if the tool is not installed. */
async function make(t: Test, { tool, size, args }: Maker): Promise<string | null> {
  if (!requireTool(t, tool)) return null;
  const folder = shortFolder(t);
  const [image, tree] = [join(folder, 'image'), join(folder, 'tree')];
  mkdirSync(tree);
  writeFileSync(join(tree, 'file'), 'hello\n');
  if (size !== null) {
    const fd = openSync(image, 'w');
    ftruncateSync(fd, size);
    closeSync(fd);
  }
  const { code, stderr } = await runTool(tool, args(image, tree));
  t.equal(code, 0, stderr);
  return image;
}

for (const maker of MAKERS) {
  await test(`${maker.tool} makes ${maker.type}, which is detected`, async (t) => {
    const image = await make(t, maker);
    if (image === null) return;
    const found = await detectFilesystem(image, readDevice(image));
    t.match(found, { type: maker.type, ...(maker.blockSize && { blockSize: maker.blockSize }) });
  });

  await test(`${maker.tool}: a damaged or cut superblock is refused`, async (t) => {
    const image = await make(t, maker);
    if (image === null) return;
    const head = headOf(image);
    const field: Record<Filesystem, [number, string]> = {
      ext4: [1024, '00000000'],
      xfs: [4, '00000001'],
      erofs: [1024 + 12, 'ff'],
      squashfs: [28, '0300'],
      btrfs: [65536 + 48, 'ff'],
    };
    const [at, hex] = field[maker.type];
    const damaged = Buffer.concat([head]);
    damaged.write(hex, at, 'hex');
    await t.rejects(detect(damaged), {
      code: 'UNSUPPORTED',
      message: new RegExp(
        `^/dev/nbd7: cannot be mounted: it has the magic number of ${maker.type}, but the rest of the superblock is not valid`,
      ),
    });
    for (const length of [1, 56, 57, 100, 511, 1100, 65536 + 80].filter((n) => n < head.length)) {
      const found = await detect(head.subarray(0, length)).catch((error: unknown) => error);
      t.ok(
        found === maker.type || (found as { code?: string }).code === 'UNSUPPORTED',
        `${length} bytes do not crash it`,
      );
    }
  });
}

await test('a btrfs of several devices is refused', async (t) => {
  const maker = MAKERS.find(({ type }) => type === 'btrfs');
  const image = maker && (await make(t, maker));
  if (!image) return;
  const head = headOf(image);
  head.writeBigUInt64LE(3n, 65536 + 136);
  await t.rejects(detect(head), { message: /one of the 3 devices of a btrfs/ });
});

await test('two file systems: neither is guessed', async (t) => {
  const [ext4, , , , btrfs] = MAKERS;
  const images = [ext4 && (await make(t, ext4)), btrfs && (await make(t, btrfs))];
  const [one, other] = images;
  if (!one || !other) return;
  const head = headOf(one);
  headOf(other).copy(head, 65536, 65536, 68 * 1024);
  await t.rejects(detect(head), { code: 'UNSUPPORTED', message: /superblocks of ext4 and btrfs/ });
});

await test('an ext4 journal on a device of its own is refused', async (t) => {
  const head = Buffer.alloc(68 * 1024);
  head.writeUInt16LE(0xef53, 1024 + 56);
  head.writeUInt32LE(16, 1024);
  head.writeUInt32LE(64, 1024 + 4);
  t.equal(await detect(head), 'ext4', 'the fields that are checked');
  head.writeUInt32LE(0x8, 1024 + 96);
  await t.rejects(detect(head), { code: 'UNSUPPORTED' });
});

const at = (offset: number, text: string): Buffer => {
  const head = Buffer.alloc(68 * 1024);
  head.write(text, offset, 'latin1');
  return head;
};

await test('data that is not a file system is named', async (t) => {
  const mbr = at(510, '\x55\xaa');
  Buffer.from([0x80, 0, 2, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 0, 1, 0]).copy(mbr, 446);
  const gpt = Buffer.concat([mbr]);
  gpt.write('EFI PART', 512, 'latin1');
  const fat = at(82, 'FAT32   ');
  fat.writeUInt16LE(0xaa55, 510);
  for (const [bytes, message] of [
    [
      Buffer.alloc(68 * 1024),
      /the first 68 KiB are zeros: the image is empty, or a layer is missing/,
    ],
    [Buffer.alloc(1536), /the first 2 KiB are zeros/],
    [Buffer.alloc(0), /the device is empty/],
    [mbr, /partition table \(MBR\).*mount one of its partitions/],
    [gpt, /partition table \(GPT\)/],
    [at(4096, 'EFI PART'), /partition table \(GPT\)/],
    [fat, /FAT32/],
    [at(510, '\x55\xaa'), /it holds no known file system; it begins with 0{32}$/],
    [at(0, 'LUKS\xba\xbe'), /encrypted/],
    [at(32769, 'CD001'), /ISO 9660/],
    [at(4086, 'SWAPSPACE2'), /swap/],
    [at(0, 'LSMT\x00\x01\x02'), /an OverlayBD layer, not a file system/],
    [at(257, 'ustar'), /a tar archive, not a file system/],
    [at(0, '#!/bin/sh'), /it holds no known file system; it begins with 23212f62696e2f7368/],
  ] as const) {
    await t.rejects(detect(bytes), { code: 'UNSUPPORTED', message });
  }
});

await test('a device that cannot be read', async (t) => {
  await t.rejects(detectFilesystem('x', readDevice('/no/such/device')), {
    code: 'MOUNT',
    message: /^\/no\/such\/device: cannot be read: ENOENT.*; the log of the daemon says why$/,
  });
});
