// The last block of an archive with an index: what it says, and what is refused.
import { test } from 'tap';
import { hasTarfsIndex } from '../../../daemon/tarfs/signs.js';
import { hasTarfsRoot, readTarfsSuperblock } from '../../../daemon/tarfs/superblock.js';
import { MemorySource } from '../../support/memory-source.js';
import { writeTarfs } from '../../support/tarfs-writer.js';

const GOOD = writeTarfs([{ path: '', mode: 0o040755 }]);

await test('where the index is', async (t) => {
  const { bytes } = GOOD;
  // An empty archive: two blocks of zeros.
  const archive = 1024;
  t.same(await readTarfsSuperblock(new MemorySource(bytes)), {
    table: archive,
    inodes: 1,
    end: bytes.length - 4096,
    hasVerity: false,
  });
  const verity = Buffer.alloc(2 * 4096);
  verity.writeUInt32LE(4096, verity.length - 512);
  verity.writeUInt32LE(4096, verity.length - 508);
  verity.writeUInt32LE(bytes.length / 4096, verity.length - 504);
  const whole = Buffer.concat([bytes, verity]);
  t.ok(hasTarfsIndex(whole, { name: 'layer', size: whole.length }));
  t.match(await readTarfsSuperblock(new MemorySource(whole)), {
    table: archive,
    end: bytes.length - 4096,
    hasVerity: true,
  });
  whole.writeUInt32LE(100, whole.length - 504);
  await t.rejects(readTarfsSuperblock(new MemorySource(whole)), {
    code: 'BAD_FORMAT',
    message: /superblock at byte \d+: expected dm-verity: blocks of tarfs before byte \d+, got 100/,
  });
});

await test('what is refused', async (t) => {
  const { bytes, superblock } = GOOD;
  await t.rejects(readTarfsSuperblock(new MemorySource(bytes.subarray(0, -512))), {
    code: 'BAD_FORMAT',
    message: /expected tarfs: a multiple of 4096 bytes, got \d+/,
  });
  const cases: [offset: number, value: bigint][] = [
    [0, 1n << 50n],
    [0, BigInt(bytes.length - 4096)],
    [8, 0n],
    [8, 1n << 62n],
  ];
  for (const [offset, value] of cases) {
    const bad = Buffer.from(bytes);
    bad.writeBigUInt64LE(value, superblock + offset);
    await t.rejects(readTarfsSuperblock(new MemorySource(bad)), {
      code: 'BAD_FORMAT',
      message: /superblock at byte \d+: expected tarfs: a table of inodes before byte \d+, got/,
    });
  }
});

const has = (bytes: Buffer): Promise<boolean> => hasTarfsRoot(new MemorySource(bytes));

await test('whether there is a root', async (t) => {
  t.ok(await has(GOOD.bytes));
  t.notOk(await has(writeTarfs([{ path: '', mode: 0o100644, bytes: Buffer.alloc(0) }]).bytes));
  const bad = Buffer.from(GOOD.bytes);
  bad.writeBigUInt64LE(0n, GOOD.superblock + 8);
  t.notOk(await has(bad));
});
