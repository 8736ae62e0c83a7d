// Images with block numbers of 48 bits: where they have files, how long they and their devices are, and times of compact inodes.
import { test } from 'tap';
import { DeviceContents } from '../../../../daemon/erofs/devices/contents.js';
import { readDeviceTable, type DeviceSlot } from '../../../../daemon/erofs/devices/device-table.js';
import { ErofsImage, type VisitedEntry } from '../../../../daemon/erofs/reader/image.js';
import { readSuperblock } from '../../../../daemon/erofs/reader/superblock.js';
import { UNBOUNDED } from '../../../../daemon/lib/effort.js';
import type { DataRange } from '../../../../daemon/tree/layer-tree.js';
import {
  BLOCK,
  writeDevices,
  type Device,
  type DeviceFile,
  type WrittenDevices,
} from '../../../support/erofs-devices-writer.js';
import { MemorySource } from '../../../support/memory-source.js';

const SB = 1024;
const TWO_32 = 2 ** 32;
const ROOT: DeviceFile = { path: '', mode: 0o040755 };
const FILE = { mode: 0o100644 };

interface Found {
  entries: Map<string, VisitedEntry>;
  data: Map<string, DataRange[]>;
  slots: DeviceSlot[];
}

/** Writes an image, makes it one with 48 bits, and reads it. */
async function found(
  files: DeviceFile[],
  devices: Device[],
  change: (bytes: Buffer, written: WrittenDevices) => void = () => undefined,
): Promise<Found> {
  const written = writeDevices([ROOT, ...files], devices);
  const { bytes } = written;
  bytes.writeUInt32LE(bytes.readUInt32LE(SB + 80) | 0x80, SB + 80);
  bytes.writeBigUInt64LE(BigInt(bytes.readUInt16LE(SB + 14)), SB + 112);
  bytes.writeUInt16LE(0, SB + 14);
  change(bytes, written);
  const source = new MemorySource(bytes);
  const image = await ErofsImage.read(source, UNBOUNDED);
  const slots = await readDeviceTable(source, image.superblock);
  const contents = new DeviceContents(image, slots, UNBOUNDED);
  const [entries, data] = [new Map<string, VisitedEntry>(), new Map<string, DataRange[]>()];
  await image.walk(UNBOUNDED, (entry) => {
    entries.set(entry.path, entry);
    if (entry.path !== '') data.set(entry.path, contents.dataOf(entry));
  });
  return { entries, data, slots };
}

const at = ({ inodes }: WrittenDevices, path: string): number => inodes.get(path) as number;

await test('chunks on a device of more than 2^32 blocks, and holes', async (t) => {
  const files: DeviceFile[] = [
    {
      ...FILE,
      path: 'f',
      size: 3 * BLOCK,
      chunks: [
        [1, 5],
        [1, 0xffff_ffff],
        [1, 0xffff_ffff],
      ],
    },
    { ...FILE, path: 'narrow', size: BLOCK, chunks: [[1, 5]] },
  ];
  const { data, slots } = await found(files, [{ blocks: 9 }], (bytes, written) => {
    bytes.writeUInt16LE(2, written.table + 72);
    const f = at(written, 'f');
    bytes.writeUInt32LE(0x60, f + 16);
    const first = Math.ceil((f + 64) / 8) * 8;
    // Block 2^32 + 5, block 2^32 - 1, and a hole.
    bytes.writeUInt16LE(1, first);
    bytes.writeUInt16LE(0xffff, first + 16);
    // Without the flag, the high bits do not count.
    bytes.writeUInt16LE(7, Math.ceil((at(written, 'narrow') + 64) / 8) * 8);
  });
  t.equal(slots[0]?.blocks, 2 * TWO_32 + 9);
  t.same(data.get('f'), [
    { fileOffset: 0, length: BLOCK, source: 0, offset: (TWO_32 + 5) * BLOCK },
    { fileOffset: BLOCK, length: BLOCK, source: 0, offset: (TWO_32 - 1) * BLOCK },
  ]);
  t.same(data.get('narrow'), [{ fileOffset: 0, length: BLOCK, source: 0, offset: 5 * BLOCK }]);
});

await test('the first block of a file, and a device far behind the image', async (t) => {
  const file = { ...FILE, size: 5, block: 7 };
  const files = [
    { ...file, path: 'f' },
    { ...file, path: 'compact', isCompact: true },
  ];
  const { data, slots, entries } = await found(
    files,
    [{ blocks: 9, firstBlock: 3 }],
    (bytes, written) => {
      bytes.writeUInt16LE(1, written.table + 74);
      for (const { path } of files) bytes.writeUInt16LE(1, at(written, path) + 6);
      // Compact, and with one name.
      bytes.writeUInt16LE(0x10, at(written, 'compact'));
      bytes.writeUInt32LE(20, at(written, 'compact') + 12);
    },
  );
  t.equal(slots[0]?.firstBlock, TWO_32 + 3);
  const range = [{ fileOffset: 0, length: 5, source: 0, offset: 4 * BLOCK }];
  t.same(data.get('f'), range);
  t.same(data.get('compact'), range);
  const { nlink, mtime } = entries.get('compact')?.inode ?? {};
  t.same([nlink, mtime], [1, 1_000_000_020], 'the time counts from that of the superblock');
});

await test('how long an image is, and its root', (t) => {
  const { bytes } = writeDevices([ROOT], []);
  const root = bytes.readUInt16LE(SB + 14);
  const blocks = bytes.readUInt32LE(SB + 36);
  bytes.writeUInt32LE(0x80, SB + 80);
  const plain = readSuperblock(bytes, 'image');
  t.same([plain.rootNid, plain.blocks], [root, blocks], 'the old fields');
  bytes.writeBigUInt64LE(70_000n, SB + 112);
  const wide = readSuperblock(bytes, 'image');
  t.same([wide.rootNid, wide.blocks], [70_000, root * TWO_32 + blocks]);
  t.end();
});

await test('a root that is not in the image', async (t) => {
  for (const nid of [1n << 32n, (1n << 63n) + 5n, (1n << 64n) - 1n]) {
    const change = (bytes: Buffer): void => void bytes.writeBigUInt64LE(nid, SB + 112);
    await t.rejects(found([], [{ blocks: 1 }], change), {
      code: 'BAD_FORMAT',
      message: /inode \d+ at byte \d+: expected an inode before byte/,
    });
  }
});

const without = (change: (bytes: Buffer, written: WrittenDevices) => void): Promise<Found> =>
  found([{ ...FILE, path: 'f', size: 5, chunks: [[1, 0]] }], [{ blocks: 1 }], (bytes, written) => {
    bytes.writeUInt32LE(0xc, SB + 80);
    bytes.writeUInt16LE(bytes.readUInt16LE(SB + 112), SB + 14);
    change(bytes, written);
  });

await test('without the feature, its flags are unknown', async (t) => {
  t.same((await without(() => undefined)).data.size, 1);
  await t.rejects(
    without((bytes, written) => bytes.writeUInt16LE(0x19, at(written, 'f'))),
    { code: 'BAD_FORMAT', message: /expected a known format, got 25/ },
  );
  await t.rejects(
    without((bytes, written) => bytes.writeUInt16LE(0x60, at(written, 'f') + 16)),
    { code: 'BAD_FORMAT', message: /expected a known form of chunks, got 96/ },
  );
});
