// EROFS images that are served as they are: what kernels refuse is refused, and what they need is said.
import { test } from 'tap';
import { checkRawErofs } from '../../../../daemon/erofs/reader/raw-image.js';
import { rawCrc32c } from '../../../support/crc32c.js';
import { writeComposefs } from '../../../support/composefs-writer.js';
import { MemorySource } from '../../../support/memory-source.js';

const SB = 1024;
const GOOD = writeComposefs([{ path: '', mode: 0o040755 }]).bytes;

function check(change: (bytes: Buffer) => void): ReturnType<typeof checkRawErofs> {
  const bytes = Buffer.from(GOOD);
  change(bytes);
  return checkRawErofs(new MemorySource(bytes), bytes);
}

await test('what an image needs', async (t) => {
  const cases: [change: (bytes: Buffer) => void, about: string][] = [
    [() => undefined, 'EROFS, blocks of 4096 bytes; Linux 5.4 and later'],
    [
      (b) => b.writeUInt32LE(0x31, SB + 80),
      'EROFS, blocks of 4096 bytes, lz4_0padding, ztailpacking, fragments; Linux 6.1 and later',
    ],
    [(b) => b.writeUInt8(9, SB + 12), 'EROFS, blocks of 512 bytes; Linux 6.4 and later'],
    [
      (b) => {
        b.writeUInt8(11, SB + 12);
        b.writeUInt32LE(1, SB + 80);
      },
      'EROFS, blocks of 2048 bytes, lz4_0padding; Linux 6.8 and later',
    ],
    [
      (b) => {
        b.writeUInt32LE(2, SB + 80);
        b.writeUInt16LE(0b1010, SB + 84);
      },
      'EROFS, blocks of 4096 bytes, compr_cfgs, lzma, zstd; Linux 6.10 and later',
    ],
  ];
  for (const [change, about] of cases) {
    t.same(await check(change), { about, doubts: [] });
  }
});

await test('metadata in a metabox are the business of the kernel', async (t) => {
  const got = await check((b) => {
    b.writeUInt32LE(0x180, SB + 80);
    // Of the root: bit 63 says that it is in the metabox. The old field has the high bits of the number of blocks.
    b.writeBigUInt64LE((1n << 63n) + 3n, SB + 112);
    b.writeUInt16LE(0, SB + 14);
  });
  const about = 'EROFS, blocks of 4096 bytes, 48bit, metabox; Linux 6.17 and later';
  t.same(got, { about, doubts: [] });
});

await test('what kernels may refuse is doubted', async (t) => {
  t.match(await check((b) => b.writeUInt32LE(1 << 23, SB + 80)), {
    about: 'EROFS, blocks of 4096 bytes, 0x00800000; no known kernel with pages of 4096 bytes',
    doubts: [/no kernel/],
  });
});

await test('further devices that are in the image itself', async (t) => {
  const about = 'EROFS, blocks of 4096 bytes, device_table; Linux 6.4 and later';
  const got = await check((b) => {
    b.writeUInt32LE(8, SB + 80);
    b.writeUInt16LE(1, SB + 86);
  });
  t.same(got, { about, doubts: [] });
});

await test('a part that is missing, and a wrong checksum', async (t) => {
  const blocks = GOOD.readUInt32LE(SB + 36);
  await t.rejects(
    check((b) => b.writeUInt32LE(blocks + 1, SB + 36)),
    {
      code: 'BAD_FORMAT',
      message: /superblock at byte 1060: expected .* 12288 in all, got 8192 bytes/,
    },
  );
  const withChecksum = (b: Buffer): void => {
    b.writeUInt32LE(1, SB + 8);
    b.writeUInt32LE(rawCrc32c(b.subarray(SB, 4096), 0xffff_ffff), SB + 4);
  };
  await t.resolves(check(withChecksum));
  await t.rejects(
    check((b) => {
      withChecksum(b);
      b.writeUInt8(1, 4095);
    }),
    { code: 'BAD_CHECKSUM', message: /superblock at byte 1028: expected the checksum 0x/ },
  );
});
