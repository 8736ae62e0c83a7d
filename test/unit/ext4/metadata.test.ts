// Metadata is read a page at a time, kept for a while, and counted.
import t from 'tap';
import { MAX_METADATA_BYTES, MAX_READ_BYTES } from '../../../daemon/ext4/limits.js';
import { Metadata } from '../../../daemon/ext4/metadata.js';
import { parseSuperblock } from '../../../daemon/ext4/superblock.js';
import { BLOCK, Ext4Writer } from '../../support/ext4-writer.js';

/** @param blocks of 1024 bytes, of which four are a page */
function counting(blocks = 258) {
  const { superblock, device } = new Ext4Writer(blocks);
  const reads: [number, number][] = [];
  const state = { isBroken: false };
  const read = (offset: number, length: number): Promise<Uint8Array> => {
    reads.push([offset / BLOCK, length / BLOCK]);
    return state.isBroken ? Promise.reject(new Error('broken')) : device.read(offset, length);
  };
  const sb = parseSuperblock(superblock, device.size, 'disk');
  return { metadata: new Metadata({ ...device, read }, sb), reads, state };
}

await t.test('a page is read once', async (test) => {
  const { metadata, reads } = counting();
  const [a, b] = await Promise.all([metadata.block(1, 'x'), metadata.part(2, 8, 4, 'x')]);
  test.equal(a[0x38], 0x53);
  test.same([...b], [3, 0, 0, 0], 'the inode table of the group');
  test.same(reads, [[0, 4]]);
  await metadata.block(257, 'x');
  test.same(reads.at(-1), [256, 2], 'the end of the device');
});

await t.test('what is used makes room for nothing', async (test) => {
  const { metadata, reads } = counting(8192);
  for (let block = 4; block < 8192; block += 4) {
    await metadata.block(1, 'x');
    await metadata.block(block, 'x');
  }
  test.equal(reads.length, 2048);
  await metadata.block(4, 'x');
  test.equal(reads.length, 2049, 'the oldest');
});

await t.test('a failed read is tried again', async (test) => {
  const { metadata, state } = counting();
  state.isBroken = true;
  await test.rejects(metadata.block(1, 'x'), { message: 'broken' });
  state.isBroken = false;
  test.equal((await metadata.block(1, 'x')).length, BLOCK);
});

await t.test('blocks that are not there', async (test) => {
  const { metadata, reads } = counting();
  for (const block of [0, 258, 2 ** 47]) {
    const message = `disk: ext4 thing at byte 0: expected blocks from 1 to 257, got ${block}`;
    test.throws(() => metadata.block(block, 'thing'), { code: 'BAD_FORMAT', message });
    await test.rejects(metadata.part(block, 0, 1, 'thing'), { code: 'BAD_FORMAT' });
  }
  test.throws(() => metadata.checkBlocks(257, 2, 'thing'), { message: /got 257 to 258$/ });
  test.same(reads, []);
});

await t.test('not without end', async (test) => {
  const { metadata } = counting();
  for (let bytes = 0; bytes < MAX_METADATA_BYTES; bytes += BLOCK) await metadata.block(1, 'x');
  await test.rejects(metadata.part(1, 0, 1, 'x'), {
    code: 'LIMIT',
    message: `disk: more than ${MAX_METADATA_BYTES} bytes of ext4 metadata`,
  });
});

await t.test('small pieces of many pages have an end, too', async (test) => {
  const page = new Uint8Array(64 << 10);
  const blocks = MAX_READ_BYTES / page.length + 1;
  const { superblock } = new Ext4Writer();
  superblock.writeUInt32LE(blocks, 0x04);
  superblock.writeUInt32LE(0, 0x14);
  superblock.writeUInt32LE(6, 0x18);
  const device = { name: 'disk', size: blocks * page.length, read: () => Promise.resolve(page) };
  const metadata = new Metadata(device, parseSuperblock(superblock, device.size, 'disk'));
  for (let block = 0; block < blocks - 1; block++) await metadata.part(block, 0, 1, 'x');
  await test.rejects(metadata.part(blocks - 1, 0, 1, 'x'), {
    code: 'LIMIT',
    message: `disk: more than ${MAX_READ_BYTES} bytes of ext4 metadata`,
  });
});
