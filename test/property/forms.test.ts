// Random stacks of layers in every form of their contents: opened as `serve` does, read back through the merged disk by
// the independent reader of EROFS, and compared with the same layers merged and written as EROFS directly, which
// trees.test.ts compares with a plain model. RAFS, turboOCI and EROFS on several devices have tests of their own.
import * as fc from 'fast-check';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import tap, { test } from 'tap';
import type { Beside } from '../../daemon/image/plan/image-source.js';
import type { EntryDraft } from '../../daemon/tree/builder.js';
import { arbitraryLayers } from '../support/arbitrary-trees.js';
import { writeDrafts } from '../support/draft-archive.js';
import { writeArchiveForm } from '../support/forms/archive-form.js';
import { writeComposefsForm } from '../support/forms/composefs-form.js';
import { checkEntries, directly } from '../support/forms/directly.js';
import { asTarfs, withoutHoles, withTexts } from '../support/forms/draft-limits.js';
import { writeTarfsForm } from '../support/forms/tarfs-form.js';
import { writeTocForm } from '../support/forms/toc-form.js';
import { filesOf } from '../support/forms/tree-files.js';
import { withDevice } from '../support/in-process.js';
import { usualOrLong } from '../support/long-tests.js';
import { SEED } from '../support/seed.js';
import { withoutRefused } from '../support/tree-model.js';
import { writeZtoc } from '../support/ztoc-writer.js';

// Random cases: on a busy machine tap's 30 seconds a file are too short.
tap.setTimeout(900_000);

const RUNS = usualOrLong(400, 2000);

const TOC_FORMS = ['eStargz', 'stargz', 'zstd:chunked', 'zstd:chunked old'] as const;
const FORMS = ['archive', 'SOCI', ...TOC_FORMS, 'tarfs', 'composefs'] as const;
type Form = (typeof FORMS)[number];

const archiveOptions = fc.record({
  codec: fc.constantFrom('none' as const, 'gzip' as const, 'zstd' as const),
  sparseForm: fc.nat(3),
  memberSize: fc.constantFrom(3000, 50_000, Infinity),
});

const cases = fc.record({
  /** Of layer 0; the layers above it are archives, if the form has layers at all. */
  form: fc.constantFrom(...FORMS),
  layers: arbitraryLayers(3, 16),
  archives: fc.tuple(archiveOptions, archiveOptions, archiveOptions),
  pieceSize: fc.constantFrom(1000, 4096, 1 << 20),
  spanSize: fc.constantFrom(300, 5000, 1 << 20),
});
type Case = typeof cases extends fc.Arbitrary<infer T> ? T : never;

/** What the form of layer 0 cannot carry is left out. */
function fitted({ form, layers }: Case): EntryDraft[][] {
  const isAlone = form === 'tarfs' || form === 'composefs';
  const fit = (draft: EntryDraft): EntryDraft => {
    if (form === 'tarfs') return asTarfs(draft);
    if (form === 'SOCI') return withoutHoles(draft);
    return (TOC_FORMS as readonly string[]).includes(form) ? withTexts(draft) : draft;
  };
  return withoutRefused(
    layers.slice(0, isAlone ? 1 : layers.length).map((layer) => layer.map(fit)),
  );
}

interface Written {
  paths: string[];
  beside: Partial<Beside>;
}

/** @returns layer 0 as the file `path`, and what belongs to it */
async function writeBottom(path: string, layer: EntryDraft[], options: Case): Promise<Written> {
  const { form, pieceSize, spanSize } = options;
  const write = (bytes: Buffer): Written => {
    writeFileSync(path, bytes);
    return { paths: [path], beside: {} };
  };
  const files = (): ReturnType<typeof filesOf> => filesOf(directly([layer]));
  switch (form) {
    case 'archive':
      return write(writeArchiveForm(layer, options.archives[0]));
    case 'SOCI': {
      const { memberSize } = options.archives[0];
      const archive = writeDrafts(layer, 0).bytes;
      const made = await writeZtoc(archive, { form: 'gzip', spanSize, memberSize });
      writeFileSync(`${path}.ztoc`, made.ztoc);
      return { ...write(made.layer), beside: { ztocs: [`${path}.ztoc`] } };
    }
    case 'tarfs':
      return write(writeTarfsForm(files()));
    case 'composefs': {
      const { image, objects } = writeComposefsForm(files());
      for (const [name, bytes] of objects) {
        mkdirSync(dirname(join(`${path}.objects`, name)), { recursive: true });
        writeFileSync(join(`${path}.objects`, name), bytes);
      }
      mkdirSync(`${path}.objects`, { recursive: true });
      return { ...write(image), beside: { objects: `${path}.objects` } };
    }
    case 'eStargz':
    case 'stargz':
    case 'zstd:chunked':
    case 'zstd:chunked old':
      return write(writeTocForm(files(), { form, pieceSize }).blob);
  }
}

async function writeStack(folder: string, layers: EntryDraft[][], options: Case): Promise<Written> {
  const [bottom = [], ...uppers] = layers;
  const { paths, beside } = await writeBottom(join(folder, 'layer-0'), bottom, options);
  const above = uppers.map((upper, i) => {
    const path = join(folder, `layer-${i + 1}`);
    const archive = options.archives[i + 1] as Case['archives'][number];
    writeFileSync(path, writeArchiveForm(upper, archive));
    return path;
  });
  // One for each layer, if there is any.
  const ztocs = beside.ztocs && [...beside.ztocs, ...above.map(() => null)];
  return { paths: [...paths, ...above], beside: { ...beside, ...(ztocs && { ztocs }) } };
}

await test('any stack of layers is the same in every form', async (t) => {
  const folder = t.testdir();
  const counts = new Map<Form, number>();
  let entries = 0;
  await fc.assert(
    fc.asyncProperty(cases, async (options) => {
      const layers = fitted(options);
      const { paths, beside } = await writeStack(folder, layers, options);
      const want = directly(layers);
      await withDevice(
        paths,
        async ({ device }) => {
          await checkEntries(device, want);
        },
        beside,
      );
      rmSync(join(folder, 'layer-0.objects'), { recursive: true, force: true });
      counts.set(options.form, (counts.get(options.form) ?? 0) + 1);
      entries += want.length;
    }),
    { numRuns: RUNS, seed: SEED },
  );
  t.comment(`${RUNS} stacks, ${entries} entries: ${JSON.stringify(Object.fromEntries(counts))}`);
  t.ok(entries > 5 * RUNS, 'the trees are not trivial');
  for (const form of FORMS) t.ok((counts.get(form) ?? 0) > RUNS / FORMS.length / 2, form);
});
