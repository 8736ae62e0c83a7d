// What the commands that look inside an image say about a disk, before a program is started that shows its files.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { checkDisk } from '../../../daemon/cli/check-disk.js';
import { openedDisk } from '../../../daemon/files/opened-disk.js';
import { sourceOfWords } from '../../../daemon/image/plan/image-source.js';
import { openStack } from '../../../daemon/image/stack/open-stack.js';
import { planImage } from '../../../daemon/image/plan/plan.js';
import { inspectionOptions } from '../../../daemon/inspect/open-for-inspection.js';
import { NO_REMOTE } from '../../../daemon/registry/remote.js';
import { writeLsmt } from '../../support/lsmt-writer.js';
import { writeGpt, writeMbr, type GptEntry } from '../../support/partition-writer.js';

const SIZE = 2 << 20;
const SECTOR = 512;

/** Bytes with what identifies an ext4 or an xfs. */
function putFilesystem(bytes: Buffer, at: number, type: 'ext4' | 'xfs'): void {
  if (type === 'ext4') {
    bytes.writeUInt16LE(0xef53, at + 1024 + 56);
    bytes.writeUInt32LE(16, at + 1024);
    bytes.writeUInt32LE(64, at + 1024 + 4);
    return;
  }
  bytes.write('XFSB', at, 'latin1');
  bytes.writeUInt32BE(4096, at + 4);
  bytes.writeUInt16BE(5, at + 100);
}

const sectorAt = (_: unknown, i: number): GptEntry => ({ first: 64 + i, last: 64 + i });
const found = { find: async (...names: readonly string[]) => `/bin/${names[0]}` };
const none = { find: async () => null };

await test('a disk is looked at before anything is started', async (t) => {
  const folder = t.testdir();
  let made = 0;
  const check = async (
    bytes: Buffer,
    partition: number | null = null,
    programs: Parameters<typeof checkDisk>[2] = found,
    asLayer = false,
  ): Promise<void> => {
    const path = join(folder, `disk${made++}`);
    const data = { offset: 0, length: bytes.length / SECTOR, data: bytes };
    const layer = (): Buffer => writeLsmt({ virtualSize: bytes.length, segments: [data] });
    writeFileSync(path, asLayer ? layer() : bytes);
    const options = inspectionOptions(NO_REMOTE);
    try {
      const { blobs } = sourceOfWords([path]);
      const plan = await planImage(blobs, options.files, {
        effort: options.effort,
        remote: () => NO_REMOTE.images(),
      });
      const disk = await openedDisk(await openStack(plan, options), 'd.img');
      if (!disk) throw new Error('it is no disk');
      await checkDisk(disk, partition, programs);
    } finally {
      options.files.release();
    }
  };

  const ext4 = Buffer.alloc(SIZE);
  putFilesystem(ext4, 0, 'ext4');
  await check(ext4);
  await check(ext4, null, found, true);
  await t.rejects(check(ext4, null, none), {
    code: 'PROGRAM_MISSING',
    message: 'fuse2fs: not found; apt install fuse2fs',
  });
  await t.rejects(check(ext4, 1), {
    code: 'NOT_FOUND',
    message: /the disk has no partition table/,
  });
  const xfs = Buffer.alloc(SIZE);
  putFilesystem(xfs, 0, 'xfs');
  await t.rejects(check(xfs), {
    code: 'UNSUPPORTED',
    message: /^d\.img: it holds xfs, .*guestmount/,
  });
  // The boot code of a file system may look like a partition table: the file system counts.
  writeMbr(ext4, [{ type: 0x83, begin: 64, count: 128 }]);
  await check(ext4);

  const gpt = Buffer.alloc(SIZE);
  writeGpt(gpt, [
    { first: 64, last: 1087, name: 'root' },
    null,
    { first: 2048, last: 2303, name: 'a\u001b[31m"' },
  ]);
  putFilesystem(gpt, 64 * SECTOR, 'ext4');
  const listed =
    'd.img: it has a partition table (GPT) with 1 (512.0 KiB, "root"), 3 (128.0 KiB, "a\\u{1b}[31m\\""): look at one of them with --partition N';
  for (const asLayer of [false, true]) {
    await t.rejects(check(gpt, null, found, asLayer), { code: 'UNSUPPORTED', message: listed });
    await check(gpt, 1, found, asLayer);
  }
  await t.rejects(check(gpt, 2), { code: 'NOT_FOUND', message: /it has 1, 3/ });
  await t.rejects(check(gpt, 3), {
    message: /^d\.img \(partition 3\): cannot be mounted: .* zeros/,
  });

  const many = Buffer.alloc(SIZE);
  writeGpt(many, Array.from({ length: 20 }, sectorAt));
  await t.rejects(check(many), { message: /16 \(512 bytes\), 4 more: look/ });
  const mbr = Buffer.alloc(SIZE);
  writeMbr(mbr, [{ type: 0x83, begin: 64, count: 1 << 20 }]);
  await t.rejects(check(mbr), { message: /\(MBR\) with 1 \(cannot be used\): look/ });
  await t.rejects(check(Buffer.alloc(SIZE)), { message: /the first 68 KiB are zeros/ });
});
