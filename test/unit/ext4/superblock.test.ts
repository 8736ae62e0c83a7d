// Superblocks: what is read from them, and what is refused.
import t, { type Test } from 'tap';
import { isSuperblock, parseSuperblock, type Superblock } from '../../../daemon/ext4/superblock.js';
import { Ext4Writer } from '../../support/ext4-writer.js';

const SIZE = 64 << 20;

/** @param change of a good superblock of blocks of 1024 bytes */
function parsed(change: (sb: Buffer) => unknown = () => undefined, size = SIZE): Superblock {
  const { superblock } = new Ext4Writer();
  superblock.writeUInt32LE(SIZE / 1024, 0x04);
  change(superblock);
  return parseSuperblock(superblock, size, 'disk');
}

await t.test('of one without features', async (test) => {
  test.match(parsed(), {
    blockSize: 1024,
    blocks: SIZE / 1024,
    firstDataBlock: 1,
    blocksPerGroup: 8192,
    groups: 8,
    inodes: 64,
    inodesPerGroup: 64,
    inodeSize: 256,
    descriptorSize: 32,
    firstMetaGroup: Infinity,
    hasFileTypes: true,
    hasLargeDirectories: false,
  });
  test.equal(parsed((sb) => sb.writeUInt32LE(0, 0x4c)).inodeSize, 128, 'the first revision');
});

await t.test('features', async (test) => {
  const wide = parsed((sb) => {
    sb.writeUInt32LE(0x80 | 0x10 | 0x4000, 0x60);
    sb.writeUInt16LE(64, 0xfe);
    sb.writeUInt32LE(3, 0x104);
  });
  test.match(wide, {
    descriptorSize: 64,
    firstMetaGroup: 3,
    hasFileTypes: false,
    hasLargeDirectories: true,
  });
});

function copies({ hasCopy }: Superblock): number[] {
  return Array.from({ length: 130 }, (_, group) => group).filter((group) => hasCopy(group));
}

await t.test('groups with a copy', async (test) => {
  test.same(copies(parsed()), [0, 1, 3, 5, 7, 9, 25, 27, 49, 81, 125]);
  test.equal(copies(parsed((sb) => sb.writeUInt32LE(0, 0x64))).length, 130, 'all');
  const two = parsed((sb) => {
    sb.writeUInt32LE(0x200, 0x5c);
    sb.writeUInt32LE(1, 0x24c);
    sb.writeUInt32LE(77, 0x250);
  });
  test.same(copies(two), [0, 1, 77]);
});

await t.test('whether it is one', async (test) => {
  const { superblock } = new Ext4Writer();
  test.ok(isSuperblock(superblock));
  test.notOk(isSuperblock(Buffer.alloc(1024)));
});

await t.test('what is refused', async (test) => {
  refused(test, 0x38, (sb) => sb.writeUInt16LE(0xef54, 0x38), '0x0000ef54');
  refused(test, 0x18, (sb) => sb.writeUInt32LE(7, 0x18), '7');
  refused(test, 0x04, (sb) => sb.writeUInt32LE(SIZE / 1024 + 1, 0x04), `${SIZE / 1024 + 1}`);
  refused(test, 0x04, (sb) => {
    sb.writeUInt32LE(0x80, 0x60);
    sb.writeUInt32LE(1, 0x150);
  });
  refused(test, 0x14, (sb) => sb.writeUInt32LE(2, 0x14), '2');
  refused(test, 0x14, (sb) => sb.writeUInt32LE(1, 0x04), '1');
  refused(test, 0x20, (sb) => sb.writeUInt32LE(0, 0x20), '0');
  refused(test, 0x28, (sb) => sb.writeUInt32LE(0, 0x28), '0');
  refused(test, 0x28, (sb) => sb.writeUInt32LE(8193, 0x28), '8193');
  for (const size of [0, 64, 257, 2048]) {
    refused(test, 0x58, (sb) => sb.writeUInt16LE(size, 0x58), `${size}`);
  }
  for (const size of [0, 32, 65, 2048]) {
    refused(
      test,
      0xfe,
      (sb) => {
        sb.writeUInt32LE(0x80, 0x60);
        sb.writeUInt16LE(size, 0xfe);
      },
      `${size}`,
    );
  }
  const unknown = { code: 'UNSUPPORTED', message: /^disk: ext4 with features 0x80000001 / };
  test.throws(() => parsed((sb) => sb.writeUInt32LE(0x8000_0003, 0x60)), unknown);
});

function refused(test: Test, at: number, change: (sb: Buffer) => unknown, got = ''): void {
  const message = new RegExp(
    `^disk: ext4 superblock at byte ${1024 + at}: expected .*, got ${got}`,
  );
  test.throws(() => parsed(change), { code: 'BAD_FORMAT', message });
}
