// Layers with a bootstrap in them.
import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { test } from 'tap';
import { ImageEffort, TooLargeHere } from '../../../daemon/opener/effort.js';
import { UNBOUNDED } from '../../../daemon/lib/effort.js';
import { bootstrapOf, hasBootstrap } from '../../../daemon/rafs/layer.js';
import { MemorySource } from '../../support/memory-source.js';
import { textBytes } from '../../support/pattern.js';
import { writeUstar } from '../../support/ustar.js';

const BOOT = textBytes(1, 3000);
const usual = writeUstar([
  { name: 'image/', type: '5' },
  { name: 'image/image.boot', bytes: BOOT },
  { name: 'image/more', bytes: textBytes(2, 10) },
]);
const old = writeUstar([{ name: './image.boot', bytes: BOOT }]);
const other = writeUstar([
  { name: 'image/', type: '5' },
  { name: 'image/other', bytes: BOOT },
]);

await test('layers are recognized by their first names', (t) => {
  t.ok(hasBootstrap(usual));
  t.ok(hasBootstrap(usual.subarray(0, 1024)));
  t.ok(hasBootstrap(old));
  t.notOk(hasBootstrap(other));
  t.notOk(hasBootstrap(usual.subarray(0, 512)));
  t.notOk(hasBootstrap(Buffer.alloc(10)));
  t.end();
});

await test('the bootstrap, plain and in gzip, with the digest of the layer', async (t) => {
  for (const layer of [usual, old, gzipSync(usual)]) {
    const digest = `sha256:${createHash('sha256').update(layer).digest('hex')}`;
    const source = new MemorySource(layer);
    t.same(await bootstrapOf(source, null, UNBOUNDED), BOOT);
    t.same(await bootstrapOf(source, digest, UNBOUNDED), BOOT);
    await t.rejects(bootstrapOf(source, `sha256:${'0'.repeat(64)}`, UNBOUNDED), {
      code: 'BAD_CHECKSUM',
      message: /layer at byte 0: expected the digest sha256:0{64}, got sha256:/,
    });
  }
});

await test('layers without one', async (t) => {
  const wrong: [Buffer, string, RegExp][] = [
    [other, 'BAD_FORMAT', /a file image\/image\.boot with a bootstrap, got none/],
    [gzipSync(usual).subarray(0, 100), 'BAD_DATA', /gzip at byte 0: expected gzip of an archive/],
    [usual.subarray(0, 2000), 'BAD_FORMAT', /./],
    [writeUstar([{ name: 'image.boot' }]), 'BAD_FORMAT', /got none/],
  ];
  for (const [layer, code, message] of wrong) {
    await t.rejects(bootstrapOf(new MemorySource(layer), null, UNBOUNDED), { code, message });
  }
});

await test('a short layer with a large bootstrap: not on a thread with other work', async (t) => {
  const layer = gzipSync(writeUstar([{ name: 'image.boot', bytes: Buffer.alloc(8 << 20) }]));
  t.ok(layer.length < 16 * 1024);
  const source = new MemorySource(layer);
  await t.rejects(bootstrapOf(source, null, new ImageEffort(true)), TooLargeHere);
  t.equal((await bootstrapOf(source, null, new ImageEffort(false))).length, 8 << 20);
  const small = new MemorySource(gzipSync(usual));
  t.same(await bootstrapOf(small, null, new ImageEffort(true)), BOOT);
});
