// Random stacks in files, opened as the daemon opens them, against the naive model. Merging alone: merge.test.ts.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import tap, { test } from 'tap';
import type { LsmtIndex } from '../../daemon/lsmt/merged-index.js';
import {
  arbitraryStack,
  arbitraryUpperWrites,
  layerFile,
  type Stack,
} from '../support/arbitrary.js';
import { readRange, withDevice, type OpenDevice } from '../support/in-process.js';
import { SECTOR } from '../support/lsmt-layout.js';
import { buildDevice, HOLE, type ModelDevice, type ModelSegment } from '../support/model.js';
import { appendUpper, type UpperWrite } from '../support/upper-writer.js';
import { SEED } from '../support/seed.js';
import { holds } from '../support/holds.js';
import { usualOrLong } from '../support/long-tests.js';

fc.configureGlobal({ seed: SEED });

// Random cases: on a busy machine tap's 30 seconds a file are too short.
tap.setTimeout(900_000);

/** Places on the disk as fractions of 2^30, so that they fit every size. */
const ranges = fc.array(fc.tuple(fc.nat(2 ** 30 - 1), fc.nat(2 ** 30 - 1)), {
  minLength: 4,
  maxLength: 12,
});
type Ranges = readonly (readonly [number, number])[];

/** Runs `use` with the layers as files in their own folder. */
async function inFolder(
  stack: Stack,
  use: (folder: string, paths: string[]) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'overlaybd-nbd-stack-'));
  try {
    const paths = stack.layers.map((layer, at) => {
      const path = join(folder, `layer${at}`);
      writeFileSync(path, layerFile(layer));
      return path;
    });
    await use(folder, paths);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function checkDevice(
  { image, device, index }: OpenDevice,
  model: ModelDevice,
  parts: Ranges,
): Promise<void> {
  const size = model.device.length;
  if (image.size !== size || device.size !== size) {
    throw new Error(`device of ${image.size} bytes, expected ${size}`);
  }
  expectBytes(await readRange(device, 0, size), model.device, 0);
  // One cursor for all reads, so that its hint comes from anywhere; then the same ranges without a hint.
  const cursor = { hint: 0 };
  for (const [from, span] of parts) {
    const offset = Math.floor((from / 2 ** 30) * size);
    const length = Math.floor((span / 2 ** 30) * (size - offset));
    expectBytes(await readRange(device, offset, length, cursor), model.device, offset);
    expectBytes(await readRange(device, offset, length), model.device, offset);
  }
  if (!index) throw new Error('a stack of layers has an index');
  checkOwners(index, model);
}

function expectBytes(got: Buffer, device: Buffer, offset: number): void {
  const expected = device.subarray(offset, offset + got.length);
  if (got.equals(expected)) return;
  const at = got.findIndex((byte, i) => byte !== expected[i]);
  throw new Error(
    `read of ${got.length} bytes at ${offset}: differs from byte ${offset + at} on (sector ${Math.floor((offset + at) / SECTOR)})`,
  );
}

function checkOwners(index: LsmtIndex, { owner, zeroed }: ModelDevice): void {
  let hint = 0;
  for (const [sector, expected] of owner.entries()) {
    const i = index.find(sector, hint);
    hint = i;
    const mapped = i < index.count && index.offsetOf(i) <= sector;
    const layer = mapped ? index.layerOf(i) : HOLE;
    if (layer !== expected)
      throw new Error(`sector ${sector}: layer ${layer}, expected ${expected}`);
    if (mapped && index.isZeroed(i) !== (zeroed[sector] === 1)) {
      throw new Error(`sector ${sector}: zeroed is ${index.isZeroed(i)}, expected otherwise`);
    }
  }
}

function modelOf(stack: Stack, upper?: readonly UpperWrite[]): ModelDevice {
  const layers: (readonly ModelSegment[])[] = stack.layers.map(({ segments }) => segments);
  if (upper) layers.push(upper.map((write) => ({ ...write, zeroed: !write.data })));
  return buildDevice(stack.virtualSize, layers);
}

await test("stacks of up to 20 layers in any wrappers equal the model's disk", async (t) => {
  await holds(
    t,
    fc.asyncProperty(arbitraryStack({ maxSectors: 1536 }), ranges, async (stack, parts) => {
      await inFolder(stack, async (_folder, paths) => {
        const model = modelOf(stack);
        await withDevice(paths, (opened) => checkDevice(opened, model, parts));
      });
    }),
    { numRuns: usualOrLong(240, 600) },
  );
});

await test('an append-only upper over a stack is replayed as in the model', async (t) => {
  const cases = arbitraryStack({ maxLayers: 3, maxSectors: 768 }).chain((stack) =>
    fc.record({
      stack: fc.constant(stack),
      writes: arbitraryUpperWrites(stack.virtualSize / SECTOR, 40),
      groupCommit: fc.constantFrom(1, 1, 8),
      tornTail: fc.integer({ min: 0, max: 15 }),
      stray: fc.integer({ min: 0, max: 1000 }),
      ownSize: fc.boolean(),
    }),
  );
  await holds(
    t,
    fc.asyncProperty(cases, ranges, async (each, parts) => {
      const { stack, writes, groupCommit, tornTail } = each;
      await inFolder(stack, async (folder, paths) => {
        const { data, index } = appendUpper({
          virtualSize: each.ownSize ? stack.virtualSize : 0,
          writes,
          groupCommit,
          tornTail,
          strayData: Buffer.alloc(each.stray, 0x5a),
        });
        writeFileSync(join(folder, 'upper.data'), data);
        writeFileSync(join(folder, 'upper.index'), index);
        const config = join(folder, 'config.v1.json');
        const lowers = paths.map((file) => ({ file }));
        const upper = { data: 'upper.data', index: 'upper.index' };
        writeFileSync(config, JSON.stringify({ lowers, upper }));
        const model = modelOf(stack, writes);
        await withDevice([config], (opened) => checkDevice(opened, model, parts));
      });
    }),
    { numRuns: usualOrLong(160, 400) },
  );
});
