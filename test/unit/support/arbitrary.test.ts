// The generated stacks obey the format, and can be read back in every wrapper.
import * as fc from 'fast-check';
import { test } from 'tap';
import { arbitraryStack, arbitraryUpperWrites, layerFile } from '../../support/arbitrary.js';
import { PADDING_ENTRY, SECTOR } from '../../support/lsmt-layout.js';
import { buildDevice } from '../../support/model.js';
import { readAppendUpper, readLsmt, unwrapBlob } from '../../support/naive-reader.js';
import { appendUpper } from '../../support/upper-writer.js';
import { holds } from '../../support/holds.js';

await test('layers are sorted, do not overlap, and determine the size of the stack', async (t) => {
  await holds(
    t,
    fc.property(arbitraryStack(), ({ virtualSize, layers }) => {
      const sizes = layers.map((layer) => layer.virtualSize);
      if (sizes.findLast((size) => size > 0) !== virtualSize) return false;
      return layers.every(({ segments }) =>
        segments.every(({ offset, length }, at) => {
          const next = segments[at + 1];
          return length > 0 && (!next || offset + length <= next.offset);
        }),
      );
    }),
    { numRuns: 300, seed: 1 },
  );
});

await test('a stack that is written and read back is the same disk', async (t) => {
  await holds(
    t,
    fc.property(
      arbitraryStack({ maxLayers: 4, maxSectors: 512, maxSegments: 5 }),
      ({ virtualSize, layers }) => {
        const expected = buildDevice(
          virtualSize,
          layers.map(({ segments }) => segments),
        );
        const read = layers.map((layer) => readLsmt(unwrapBlob(layerFile(layer))));
        const actual = buildDevice(
          virtualSize,
          read.map(({ segments }) => segments),
        );
        return (
          actual.device.equals(expected.device) &&
          Buffer.from(actual.owner.buffer).equals(Buffer.from(expected.owner.buffer)) &&
          read.every(({ virtualSize: size }, at) => size === layers[at]?.virtualSize)
        );
      },
    ),
    { numRuns: 150, seed: 2 },
  );
});

await test('index entries keep to the ranges of sealed layers', async (t) => {
  await holds(
    t,
    fc.property(arbitraryStack({ maxLayers: 2 }), ({ layers }) =>
      layers.every((layer) => {
        const blob = unwrapBlob(layerFile(layer));
        const end = Number(blob.readBigUInt64LE(blob.length - 4096 + 32)) / SECTOR;
        return readLsmt(blob)
          .entries.filter((entry) => entry.offset !== PADDING_ENTRY.offset)
          .every(
            ({ length, moffset, zeroed }) => moffset >= 8 && moffset + (zeroed ? 0 : length) <= end,
          );
      }),
    ),
    { numRuns: 60, seed: 3 },
  );
});

await test('upper writes stay inside the disk and can be read back', async (t) => {
  await holds(
    t,
    fc.property(arbitraryUpperWrites(256), (writes) => {
      const model = writes.map((write) => ({ ...write, zeroed: !write.data }));
      const { data, index } = appendUpper({ virtualSize: 256 * SECTOR, writes });
      const { segments } = readAppendUpper(data, index);
      const expected = buildDevice(256 * SECTOR, [model]).device;
      return (
        writes.every(({ offset, length }) => length > 0 && offset + length <= 256) &&
        buildDevice(256 * SECTOR, [segments]).device.equals(expected)
      );
    }),
    { numRuns: 150, seed: 4 },
  );
});
