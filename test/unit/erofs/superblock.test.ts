// The superblock: a part of layout version 1, so its bytes are fixed.
import { test } from 'tap';
import { superblock, uuidOf } from '../../../daemon/erofs/superblock.js';
import { checksumOf } from '../../support/erofs/checksum.js';

const hex = (...seed: string[]): string => Buffer.from(uuidOf(seed)).toString('hex');

await test('the UUID comes from the layout version and the digests, in their order', (t) => {
  // sha256 of "erofs layout 1\n" and of "erofs layout 1\nsha256:a\nsha256:b\n", the first 16 bytes.
  t.equal(hex(), '15430f2ff335398c32d034fade67636e');
  t.equal(hex('sha256:a', 'sha256:b'), '27168837646df991cfa58f804fe56712');
  t.not(hex('sha256:b', 'sha256:a'), hex('sha256:a', 'sha256:b'));
  t.end();
});

await test('every byte of the superblock', (t) => {
  const uuid = Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex');
  const block = superblock({ rootNid: 128, inodes: 3, blocks: 0x12345678, xattrBlock: 7, uuid });
  t.equal(block.length, 4096);
  t.equal(
    block.toString('hex', 1024, 1024 + 128),
    [
      'e2e1f5e0', // magic
      '6b279b7e', // checksum
      '03000000', // it has a checksum, inodes have times
      '0c00', // 2^12 bytes a block
      '8000', // root
      '0300000000000000', // inodes
      '0000000000000000', // epoch
      '00000000',
      '78563412', // blocks
      '00000000', // inodes are counted from block 0
      '07000000', // shared xattrs
      '000102030405060708090a0b0c0d0e0f',
      '00'.repeat(16), // name of the volume
      '00'.repeat(48), // no feature that Linux 5.4 does not have
    ].join(''),
  );
  const sb = Buffer.from(block.subarray(1024));
  const checksum = sb.readUInt32LE(4);
  sb.writeUInt32LE(0, 4);
  t.equal(checksum, checksumOf(sb));
  t.end();
});
