// Damaged and forged blobs: opening and reading them soon gives bytes or an OverlaybdError, with little memory.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import tap, { test } from 'tap';
import { fallsTo, openDescriptors } from '../support/descriptors.js';
import {
  base,
  blobs,
  mustBeHandled,
  mutate,
  mutation,
  mutations,
  upper,
} from '../support/hostile-blobs.js';
import { imageOfDevice, writeDevice } from '../support/hostile-devices.js';
import { imageOfStore, writeStore } from '../support/hostile-stores.js';
import { hostileGzipIndex, writeHostileGzipIndex } from '../support/hostile-gzip-indexes.js';
import { hostileToc, writeHostileToc } from '../support/hostile-tocs.js';
import { SEED } from '../support/seed.js';
import { holds } from '../support/holds.js';
import { usualOrLong } from '../support/long-tests.js';

fc.configureGlobal({ seed: SEED });

// Random cases: on a busy machine tap's 30 seconds a file are too short.
tap.setTimeout(900_000);

async function inFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'overlaybd-nbd-hostile-'));
  try {
    await use(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

await test('changed tables of contents never crash', async (t) => {
  await inFolder(async (folder) => {
    const bad = join(folder, 'bad');
    const before = openDescriptors();
    await holds(
      t,
      fc.asyncProperty(hostileToc, async (toc) => {
        writeFileSync(bad, writeHostileToc(toc));
        await mustBeHandled([bad]);
      }),
      { numRuns: usualOrLong(200, 400) },
    );
    t.ok(await fallsTo(before), 'no descriptor stays open');
  });
});

await test('changed gzip indexes of turboOCI never crash', async (t) => {
  await inFolder(async (folder) => {
    const before = openDescriptors();
    await holds(
      t,
      fc.asyncProperty(hostileGzipIndex, async (index) => {
        await mustBeHandled([writeHostileGzipIndex(folder, index)]);
      }),
      { numRuns: usualOrLong(150, 300) },
    );
    t.ok(await fallsTo(before), 'no descriptor stays open');
  });
});

await test('mutated blobs, alone and above a good layer, never crash', async (t) => {
  await inFolder(async (folder) => {
    const [good, bad] = [join(folder, 'good'), join(folder, 'bad')];
    writeFileSync(good, base);
    const before = openDescriptors();
    await holds(
      t,
      fc.asyncProperty(fc.constantFrom(...Object.keys(blobs)), mutations, async (name, all) => {
        writeFileSync(bad, mutate(blobs[name] as Buffer, all));
        await mustBeHandled([bad]);
        await mustBeHandled([good, bad]);
      }),
      { numRuns: usualOrLong(1000, 2000) },
    );
    t.ok(await fallsTo(before), 'no descriptor stays open');
  });
});

await test('mutated composefs images with their store never crash', async (t) => {
  await inFolder(async (folder) => {
    const bad = join(folder, 'bad');
    const beside = writeStore(folder);
    const before = openDescriptors();
    await holds(
      t,
      fc.asyncProperty(mutations, async (all) => {
        writeFileSync(bad, mutate(imageOfStore, all));
        await mustBeHandled([bad], beside);
      }),
      { numRuns: usualOrLong(500, 1000) },
    );
    t.ok(await fallsTo(before), 'no descriptor stays open');
  });
});

await test('mutated EROFS images with their device never crash', async (t) => {
  await inFolder(async (folder) => {
    const bad = join(folder, 'bad');
    const beside = writeDevice(folder);
    const before = openDescriptors();
    await holds(
      t,
      fc.asyncProperty(mutations, async (all) => {
        writeFileSync(bad, mutate(imageOfDevice, all));
        await mustBeHandled([bad], beside);
      }),
      { numRuns: usualOrLong(250, 500) },
    );
    t.ok(await fallsTo(before), 'no descriptor stays open');
  });
});

await test('mutated uppers, data and index, never crash', async (t) => {
  await inFolder(async (folder) => {
    const config = join(folder, 'config.v1.json');
    writeFileSync(join(folder, 'good'), base);
    writeFileSync(
      config,
      JSON.stringify({ lowers: [{ file: 'good' }], upper: { data: 'data', index: 'index' } }),
    );
    const before = openDescriptors();
    await holds(
      t,
      fc.asyncProperty(
        fc.array(mutation, { maxLength: 3 }),
        fc.array(mutation, { maxLength: 3 }),
        async (forData, forIndex) => {
          writeFileSync(join(folder, 'data'), mutate(upper.data, forData));
          writeFileSync(join(folder, 'index'), mutate(upper.index, forIndex));
          await mustBeHandled([config]);
        },
      ),
      { numRuns: usualOrLong(500, 1000) },
    );
    t.ok(await fallsTo(before), 'no descriptor stays open');
  });
});

await test('any JSON as an image configuration is parsed or refused', async (t) => {
  const words = fc.constantFrom(
    'lowers',
    'upper',
    'file',
    'dir',
    'digest',
    'index',
    'data',
    'good',
  );
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom(null, true, 0, -1, 1e300, '', 'good', '/', '\0', '../good'),
      fc.array(tie('any'), { maxLength: 3 }),
      fc.dictionary(fc.oneof(words, fc.string()), tie('any'), { maxKeys: 4 }),
    ),
  })).any;
  await inFolder(async (folder) => {
    const config = join(folder, 'config.v1.json');
    writeFileSync(join(folder, 'good'), base);
    await holds(
      t,
      fc.asyncProperty(fc.dictionary(words, value, { maxKeys: 4 }), async (json) => {
        writeFileSync(config, JSON.stringify(json));
        await mustBeHandled([config]);
      }),
      { numRuns: usualOrLong(500, 1000) },
    );
  });
});

await test('any bytes as a configuration or a blob are opened or refused', async (t) => {
  await inFolder(async (folder) => {
    const path = join(folder, 'anything');
    await holds(
      t,
      fc.asyncProperty(fc.uint8Array({ maxLength: 600 }), fc.boolean(), async (bytes, brace) => {
        writeFileSync(path, brace ? Buffer.concat([Buffer.from('{'), bytes]) : bytes);
        await mustBeHandled([path]);
      }),
      { numRuns: usualOrLong(500, 1000) },
    );
  });
});
