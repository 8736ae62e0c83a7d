// By what an archive with an index is recognized.
import { test } from 'tap';
import { hasTarfsIndex, mayBeEmptyTarfs } from '../../../daemon/tarfs/signs.js';
import { writeTarfs } from '../../support/tarfs-writer.js';

const GOOD = writeTarfs([{ path: '', mode: 0o040755 }]);

await test('a last block of zeros with 16 bytes in it, or the name of the file', (t) => {
  const { bytes, superblock } = GOOD;
  const has = (tail: Buffer, name = 'layer', size = bytes.length): boolean =>
    hasTarfsIndex(tail, { name, size });
  t.ok(has(bytes));
  t.notOk(has(bytes, 'layer', bytes.length + 512), 'the size is not a multiple of 4096');
  t.ok(has(Buffer.alloc(10), 'layer.tarfs', 10));
  t.notOk(has(Buffer.alloc(4096)), 'the end of an archive');
  t.notOk(has(bytes.subarray(-512)), 'shorter than a block');
  for (const at of [superblock - 1, superblock + 16]) {
    const other = Buffer.from(bytes);
    other[at] = 1;
    t.notOk(has(other));
  }
  t.end();
});

const may = (blob: Buffer, head = blob): boolean => mayBeEmptyTarfs(head, blob, blob.length);

await test('without files: zeros up to the index', (t) => {
  const { bytes, superblock } = GOOD;
  t.ok(may(bytes));
  t.ok(may(bytes, bytes.subarray(0, 700)));
  const begun = Buffer.from(bytes);
  begun[1023] = 1;
  t.notOk(may(begun));
  const nothing = Buffer.from(bytes);
  nothing.writeBigUInt64LE(0n, superblock);
  t.notOk(may(nothing), 'the index begins at once');
  t.notOk(may(Buffer.alloc(1 << 20)), 'zeros');
  t.notOk(may(bytes.subarray(0, -512)), 'not whole blocks');
  const verity = Buffer.alloc(4096);
  verity.write('0010000000100000', 4096 - 512, 'hex');
  verity.writeUInt32LE(bytes.length / 4096, 4096 - 504);
  t.ok(may(Buffer.concat([bytes, verity])), 'a hash tree behind it');
  t.end();
});
