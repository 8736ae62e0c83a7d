// One file of a good image is damaged, cut, or another one: whatever its digests show is refused, or fails to be read. Other bytes than
// those of the good image are never served, nor other names or attributes. hostile.test.ts damages what nothing verifies.
import * as fc from 'fast-check';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import tap, { test } from 'tap';
import { fallsTo, openDescriptors } from '../support/descriptors.js';
import { damaged, damages, type Damages } from '../support/flips/damage.js';
import { FLIP_FORMS, writeFlipImage, type FlipImage } from '../support/flips/images.js';
import { goodTree, judge, type Outcome } from '../support/flips/judge.js';
import type { TreeFile } from '../support/forms/tree-files.js';
import { holds } from '../support/holds.js';
import { usualOrLong } from '../support/long-tests.js';
import { SEED } from '../support/seed.js';

// Random cases: on a busy machine tap's 30 seconds a file are too short.
tap.setTimeout(7_200_000);

const RUNS = usualOrLong(25, 2000);

const folder = tap.testdir();
const images = new Map<string, FlipImage>();
const others = new Map<string, FlipImage>();
for (const [i, form] of FLIP_FORMS.entries()) {
  images.set(form, await writeFlipImage(form, join(folder, `${i}`), 0));
  others.set(form, await writeFlipImage(form, join(folder, `${i}-other`), 1));
}

/** @returns the path of the file and what it becomes; null: it is removed */
function changeOf(image: FlipImage, form: string, each: Damages): [string, Buffer | null] {
  const [path, bytes] = nth(image, each.file);
  switch (each.kind) {
    case 'missing':
      return [path, null];
    case 'in place':
      return [path, damaged(bytes, image.pieces.get(path) ?? [[0, bytes.length]], each.all)];
    case 'another': {
      if (path === image.root) return [path, null];
      if (each.from === 'same image') return [path, nth(image, each.by)[1]];
      // With the same name in the other image, or any.
      if (each.from === 'other form') {
        const other = FLIP_FORMS[each.form % FLIP_FORMS.length] as string;
        return [path, nth(others.get(other) as FlipImage, each.by)[1]];
      }
      const other = others.get(form) as FlipImage;
      const same = [...other.files.values()].find((file) => file.length === bytes.length);
      return [path, same ?? nth(other, each.by)[1]];
    }
  }
}

function nth({ files }: FlipImage, i: number): [string, Buffer] {
  return [...files][i % files.size] as [string, Buffer];
}

for (const form of FLIP_FORMS) {
  await test(form, async (t) => {
    const image = images.get(form) as FlipImage;
    const good: readonly TreeFile[] = await goodTree(image);
    t.ok(good.length > 10, 'the tree is not trivial');
    const before = openDescriptors();
    const counts: Record<Outcome, number> = { refused: 0, broken: 0, equal: 0 };
    await holds(
      t,
      fc.asyncProperty(damages, async (each) => {
        const [path, bytes] = changeOf(image, form, each);
        if (bytes) writeFileSync(path, bytes);
        else rmSync(path);
        try {
          counts[await judge(image, good)]++;
        } finally {
          writeFileSync(path, image.files.get(path) as Buffer);
        }
      }),
      { numRuns: RUNS, seed: SEED },
    );
    t.comment(JSON.stringify(counts));
    t.ok(await fallsTo(before), 'no descriptor stays open');
  });
}
