// What a layer is by its first bytes.
import { test } from 'tap';
import { BLOB_HEAD_SIZE, kindOfBlob } from '../../../daemon/registry/blob-head.js';
import { textBytes } from '../../support/pattern.js';
import { wrapTar } from '../../support/tar-writer.js';
import { writeLsmt } from '../../support/lsmt-writer.js';
import { wrap } from '../../support/wrapper.js';

const LAYER = writeLsmt({
  virtualSize: 1 << 20,
  segments: [{ offset: 0, length: 8, data: textBytes(1, 4096) }],
});
const ZFILE = wrap(LAYER, {
  zfile: { algorithm: 'lz4', blockSize: 4096, verify: true, mode: 'header' },
  tar: 'none',
});
const kind = (blob: Buffer) => kindOfBlob(blob.subarray(0, BLOB_HEAD_SIZE), blob.length);

/** A tar with this first member. */
function tarOf(name: string): Buffer {
  const tar = wrapTar(textBytes(2, 100), { pax: false });
  tar.fill(0, 0, 100);
  tar.write(name, 0, 'latin1');
  tar.fill(' ', 148, 156);
  let sum = 0;
  for (const byte of tar.subarray(0, 512)) sum += byte;
  tar.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return tar;
}

await test('overlaybd blobs, with and without wrappers', (t) => {
  for (const blob of [LAYER, ZFILE]) {
    t.equal(kind(blob), 'data');
    t.equal(kind(wrapTar(blob, { pax: false })), 'data');
    t.equal(kind(wrapTar(blob, { pax: true })), 'data');
  }
  t.end();
});

await test('what is no data', (t) => {
  t.equal(kind(tarOf('trace')), 'trace');
  t.equal(kind(tarOf('./trace')), 'trace');
  t.equal(kind(tarOf('ext4.fs.meta')), 'turbo');
  t.equal(kind(tarOf('.turbo.ociv1')), 'turbo');
  t.equal(kind(tarOf('tracer')), 'other');
  t.equal(kind(tarOf('etc/passwd')), 'other');
  t.end();
});

await test('anything else', (t) => {
  t.equal(kind(Buffer.alloc(0)), 'other');
  t.equal(kind(Buffer.alloc(10_000)), 'other');
  t.equal(kind(Buffer.from('1f8b0800', 'hex')), 'other');
  // Cut within its first member.
  t.equal(kind(wrapTar(LAYER, { pax: false }).subarray(0, 600)), 'other');
  t.end();
});
