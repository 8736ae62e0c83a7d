// Random layers with ztocs: what was written is read back, from the spans that are needed; and damaged ones are refused, or
// their reads are.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import tap, { test } from 'tap';
import { readFully } from '../../daemon/blob/source.js';
import { loadAround, ReaderFactory } from '../../daemon/image/disks/reader-factory.js';
import { UNBOUNDED } from '../../daemon/lib/effort.js';
import { PiecesSource } from '../../daemon/pieces/pieces-source.js';
import { openZtoc } from '../../daemon/soci/open.js';
import { arbitraryLayers } from '../support/arbitrary-trees.js';
import { writeDrafts } from '../support/draft-archive.js';
import { fallsTo, openDescriptors } from '../support/descriptors.js';
import { withoutHoles } from '../support/forms/draft-limits.js';
import { holds } from '../support/holds.js';
import { healthyZtocs, hostileZtoc, ztocMustBeHandled } from '../support/hostile-ztocs.js';
import { treeOfDevice } from '../support/erofs/tree-of-device.js';
import { withDevice } from '../support/in-process.js';
import { usualOrLong } from '../support/long-tests.js';
import { MemorySource } from '../support/memory-source.js';
import { SEED } from '../support/seed.js';
import { treeOf } from '../support/trees.js';
import { writeZtoc } from '../support/ztoc-writer.js';

await loadAround();

fc.configureGlobal({ seed: SEED });
tap.setTimeout(900_000);

const written = fc.record({
  drafts: arbitraryLayers(1, 12).map(([layer = []]) => layer.map(withoutHoles)),
  form: fc.constantFrom('gzip' as const, 'gzip version 1' as const, 'plain' as const),
  spanSize: fc.integer({ min: 300, max: 30_000 }),
  memberSize: fc.integer({ min: 1000, max: 100_000 }),
  hasName: fc.boolean(),
});

await test('what was written is read back', async (t) => {
  const readers = new ReaderFactory();
  await holds(
    t,
    fc.asyncProperty(written, async ({ drafts, ...options }) => {
      const { bytes, contents } = writeDrafts(drafts, 0);
      const { layer, ztoc } = await writeZtoc(bytes, options);
      const source = new MemorySource(layer, 'layer');
      const beside = { source: new MemorySource(ztoc, 'ztoc'), digest: null };
      const { tree, pieces } = await openZtoc(source, beside, UNBOUNDED);
      const expected = treeOf(drafts);
      if (tree.count !== expected.count) throw new Error(`${tree.count} entries`);
      const around = new PiecesSource(pieces, source, readers.pieceTools());
      const files = drafts.flatMap(({ path }, i) =>
        /(?:^|\/)\.wh\./.test(path) ? [] : (contents.get(i) ?? []),
      );
      for (let i = 0; i < tree.count; i++) {
        const { position: _, data, ...entry } = tree.entry(i);
        const { position: _other, data: _data, ...wanted } = expected.entry(i);
        if (textOf(entry) !== textOf(wanted)) throw new Error(`entry ${i}: ${textOf(entry)}`);
        if (entry.type !== 'reg') continue;
        const content = files.shift() ?? Buffer.alloc(0);
        const [range] = data;
        const got = range ? await readFully(around, range.offset, range.length) : Buffer.alloc(0);
        if (!got.equals(content)) throw new Error(`the content of entry ${i}`);
      }
    }),
    { numRuns: usualOrLong(240, 600) },
  );
});

function textOf(entry: object): string {
  return JSON.stringify(entry, (_, value: unknown) =>
    value instanceof Map ? [...(value as Map<string, Uint8Array>)].map(hexed) : value,
  );
}

function hexed([name, value]: [string, Uint8Array]): string[] {
  return [name, Buffer.from(value).toString('hex')];
}

await test('the layers that are damaged are good before', async (t) => {
  const [layer, ztoc] = ['layer', 'layer.ztoc'].map((name) => join(t.testdirName, name));
  t.testdir();
  for (const good of healthyZtocs) {
    writeFileSync(layer as string, good.layer);
    writeFileSync(ztoc as string, good.ztoc);
    const beside = { tocBlob: null, tocDigest: null, ztocs: [ztoc as string] };
    await withDevice(
      [layer as string],
      async ({ device }) => t.equal((await treeOfDevice(device)).broken.size, 0),
      beside,
    );
  }
});

await test('damaged layers and ztocs never crash', async (t) => {
  const folder = t.testdir();
  const before = openDescriptors();
  await holds(
    t,
    fc.asyncProperty(hostileZtoc, (hostile) => ztocMustBeHandled(folder, hostile)),
    { numRuns: usualOrLong(600, 1500) },
  );
  t.ok(await fallsTo(before), 'no descriptor stays open');
});
