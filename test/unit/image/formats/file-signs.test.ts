// Signs of layers of files: every format has one, and disks and LSMT layers have none.
import { gzipSync } from 'node:zlib';
import { test } from 'tap';
import { MAX_CHUNKED_FOOTER_SIZE } from '../../../../daemon/estargz/chunked-footer.js';
import { MAX_FOOTER_SIZE } from '../../../../daemon/estargz/footer.js';
import {
  hasErofsMagic,
  mayBeFiles,
  TAIL_SIZE,
  tailOf,
} from '../../../../daemon/image/formats/file-signs.js';
import { writeArchive } from '../../../support/archive-writer.js';
import { writeComposefs } from '../../../support/composefs-writer.js';
import { encodeBlock } from '../../../support/encode-block.js';
import { writeLsmt } from '../../../support/lsmt-writer.js';
import { MemorySource } from '../../../support/memory-source.js';
import { randomBytes } from '../../../support/pattern.js';
import { writeRafs } from '../../../support/rafs-writer.js';
import { writeTarfs } from '../../../support/tarfs-writer.js';

const HEAD_SIZE = 4096;
const archive = writeArchive([{ name: 'a', content: 'text' }]);

function isSigned(blob: Buffer): Promise<boolean> {
  return mayBeFiles(blob.subarray(0, HEAD_SIZE), new MemorySource(blob));
}

await test('each format has a sign', async (t) => {
  const toc = Buffer.alloc(5000);
  toc.write('rafs.blob.toc', toc.length - 512);
  const v5 = Buffer.alloc(8192);
  v5.writeUInt32LE(0x5241_4653, 0);
  v5.writeUInt32LE(0x500, 4);
  const formats: [string, Buffer][] = [
    ['tar', archive],
    ['tar without files', Buffer.alloc(10_240)],
    ['gzip', gzipSync(archive)],
    ['zstd', encodeBlock('zstd', archive)],
    ['composefs', writeComposefs([]).bytes],
    ['RAFS', writeRafs([{ path: '', type: 'dir' }]).bootstrap],
    ['RAFS v5', v5],
    ['data blob of RAFS', toc],
    ['tarfs without files', writeTarfs([{ path: '', mode: 0o040755 }]).bytes],
  ];
  for (const [name, blob] of formats) t.ok(await isSigned(blob), name);
});

await test('what is something else has none', async (t) => {
  const disks: [string, Buffer][] = [
    ['nothing', Buffer.alloc(0)],
    ['short', Buffer.alloc(3, 1)],
    ['zeros', Buffer.alloc(1 << 20)],
    ['random', Buffer.concat([Buffer.alloc(8), randomBytes(1, 100_000)])],
    ['zeros before a last block as of tarfs', writeTarfs([{ path: '', mode: 0 }]).bytes],
    ['LSMT', writeLsmt({ virtualSize: 1 << 20, segments: [] })],
  ];
  for (const [name, blob] of disks) t.notOk(await isSigned(blob), name);
  t.notOk(hasErofsMagic(Buffer.alloc(1025)));
});

await test('the tail has room for every footer', async (t) => {
  t.ok(TAIL_SIZE >= MAX_FOOTER_SIZE);
  t.ok(TAIL_SIZE >= MAX_CHUNKED_FOOTER_SIZE);
  t.equal((await tailOf(new MemorySource(Buffer.alloc(100)))).length, 100);
  t.equal((await tailOf(new MemorySource(Buffer.alloc(100_000)))).length, TAIL_SIZE);
});
