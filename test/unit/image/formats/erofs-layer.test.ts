// An EROFS image with further devices as a layer: what its contents need, and the sizes that devices may have.
import { test } from 'tap';
import { openErofsLayer } from '../../../../daemon/image/formats/erofs-layer.js';
import { UNBOUNDED } from '../../../../daemon/lib/effort.js';
import { BLOCK, writeDevices } from '../../../support/erofs-devices-writer.js';
import { MemorySource } from '../../../support/memory-source.js';

const { bytes } = writeDevices(
  [
    { path: '', mode: 0o040755 },
    { path: 'f', mode: 0o100644, size: 9, chunks: [[1, 0]] },
    { path: 'g', mode: 0o100644, inline: 'tail' },
  ],
  [{ tag: 'data', blocks: 3, firstBlock: 100 }],
);
const TOOLS = { effort: UNBOUNDED };

await test('the image and its device are content sources', async (t) => {
  const layer = await openErofsLayer(new MemorySource(bytes), bytes, { dataBlobs: null }, TOOLS);
  if (layer?.kind !== 'tree') throw new Error('no tree');
  const needs = layer.needs ?? [];
  t.same(
    new Map(needs.map(({ id, isLayer }) => [id, isLayer])),
    new Map([
      ['', true],
      ['data', false],
    ]),
  );
  const device = needs.find(({ isLayer }) => !isLayer);
  t.equal(device?.pieces('device', 3 * BLOCK, UNBOUNDED), null);
  t.throws(() => device?.pieces('device', 2 * BLOCK, UNBOUNDED), {
    message: /device: device 1 at byte 0: expected 12288 bytes, .*, got 8192/,
  });
  t.match(needs.find(({ isLayer }) => isLayer)?.pieces('image', bytes.length, UNBOUNDED), {
    kind: 'pieces',
    table: { count: 1, size: 512 },
  });
});

await test('devices after the image are used there, unless --blobs names others', async (t) => {
  const whole = Buffer.concat([bytes, Buffer.alloc(103 * BLOCK - bytes.length)]);
  const open = (dataBlobs: string | null): ReturnType<typeof openErofsLayer> =>
    openErofsLayer(new MemorySource(whole), whole, { dataBlobs }, TOOLS);
  t.equal(await open(null), null);
  t.match(await open('/devices'), { kind: 'tree' });
});
