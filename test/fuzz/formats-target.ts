// Image formats as a target: damaged layers, uppers, tables of contents, ztocs and ext4 file systems, opened and read as in test/property/hostile.test.ts, which
// states the invariants; here for any length of time.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
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
import { ext4MustBeHandled, hostileExt4, writeHostileExt4 } from '../support/hostile-ext4.js';
import { fixtureMustBeHandled, haveFixtures, hostileFixture } from '../support/hostile-fixtures.js';
import { hostileGzipIndex, writeHostileGzipIndex } from '../support/hostile-gzip-indexes.js';
import { hostileRafs, rafsMustBeHandled } from '../support/hostile-rafs.js';
import { hostileToc, writeHostileToc } from '../support/hostile-tocs.js';
import { hostileZtoc, ztocMustBeHandled } from '../support/hostile-ztocs.js';
import type { ListedRanges } from '../../daemon/ext4/listed-ranges.js';
import type { Target } from './run.js';
import { sampledTarget } from './sampled-target.js';

const some = fc.array(mutation, { maxLength: 3 });
const caseOf = fc.oneof(
  fc.record({
    kind: fc.constantFrom('alone' as const, 'above a good one' as const),
    blob: fc.constantFrom(...Object.keys(blobs)),
    damage: mutations,
  }),
  fc.record({ kind: fc.constant('upper' as const), data: some, index: some }),
  fc.record({ kind: fc.constant('table of contents' as const), toc: hostileToc }),
  fc.record({ kind: fc.constant('ztoc' as const), ztoc: hostileZtoc }),
  fc.record({ kind: fc.constant('rafs' as const), rafs: hostileRafs }),
  fc.record({ kind: fc.constant('composefs' as const), damage: mutations }),
  fc.record({ kind: fc.constant('EROFS with a device' as const), damage: mutations }),
  fc.record({ kind: fc.constant('gzip index' as const), index: hostileGzipIndex }),
  fc.record({ kind: fc.constant('ext4' as const), changes: hostileExt4 }),
  ...(haveFixtures
    ? [fc.record({ kind: fc.constant('fixture' as const), fixture: hostileFixture })]
    : []),
);

export function formatsTarget(): Target {
  const folder = mkdtempSync(join(tmpdir(), 'overlaybd-nbd-fuzz-'));
  const [good, bad, config] = ['good', 'bad', 'config.v1.json'].map((name) =>
    join(folder, name),
  ) as [string, string, string];
  const image = { lowers: [{ file: 'good' }], upper: { data: 'data', index: 'index' } };
  writeFileSync(good, base);
  writeFileSync(config, JSON.stringify(image));
  const store = writeStore(folder);
  const device = writeDevice(folder);
  return sampledTarget(
    caseOf,
    async (played, count) => {
      if (played.kind === 'ext4') {
        const found = await ext4MustBeHandled(writeHostileExt4(played.changes));
        count(`list of paths of an ext4 ${outcomeOf(found)}`);
        return;
      }
      if (played.kind === 'fixture') {
        const { files, damaged } = played.fixture.seed;
        count(`fixture ${files.fixture}, ${damaged}`);
        await fixtureMustBeHandled(folder, played.fixture);
        return;
      }
      if (played.kind === 'gzip index') {
        count(played.kind);
        await mustBeHandled([writeHostileGzipIndex(folder, played.index)]);
        return;
      }
      if (played.kind === 'table of contents') {
        count(`${played.kind} of ${played.toc.form}`);
        writeFileSync(bad, writeHostileToc(played.toc));
        await mustBeHandled([bad]);
        return;
      }
      if (played.kind === 'ztoc') {
        count(`${played.ztoc.damaged} of SOCI, ${played.ztoc.form}`);
        await ztocMustBeHandled(folder, played.ztoc);
        return;
      }
      if (played.kind === 'rafs') {
        count(`${played.rafs.damaged} of RAFS, ${played.rafs.form}`);
        await rafsMustBeHandled(folder, played.rafs);
        return;
      }
      if (played.kind === 'composefs') {
        count('composefs with its store');
        writeFileSync(bad, mutate(imageOfStore, played.damage));
        await mustBeHandled([bad], store);
        return;
      }
      if (played.kind === 'EROFS with a device') {
        count(played.kind);
        writeFileSync(bad, mutate(imageOfDevice, played.damage));
        await mustBeHandled([bad], device);
        return;
      }
      const damages = played.kind === 'upper' ? [...played.data, ...played.index] : played.damage;
      for (const { kind } of damages) count(`mutation ${kind}`);
      if (played.kind === 'upper') {
        count('upper');
        writeFileSync(join(folder, 'data'), mutate(upper.data, played.data));
        writeFileSync(join(folder, 'index'), mutate(upper.index, played.index));
        await mustBeHandled([config]);
        return;
      }
      count(`${played.blob} ${played.kind}`);
      writeFileSync(bad, mutate(blobs[played.blob] as Buffer, played.damage));
      await mustBeHandled(played.kind === 'alone' ? [bad] : [good, bad]);
    },
    () => rmSync(folder, { recursive: true }),
  );
}

function outcomeOf(found: ListedRanges | null): string {
  if (!found) return 'that is refused';
  return found.damaged > 0 ? 'with damage' : 'without damage that matters';
}
