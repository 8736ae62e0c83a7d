// Images of layers of files by the formats' own tools, damaged: seeds for test/fuzz, if the fixtures are there.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { NOTHING_BESIDE } from '../../daemon/image/plan/image-source.js';
import { besideOf, FIXTURE_FILES, type FixtureFiles } from './fixture-images.js';
import { mustBeHandled, mutate, mutations } from './hostile-blobs.js';
import { findLazyFixtures } from './lazy-fixtures.js';

interface FixtureSeed {
  readonly files: FixtureFiles;
  /** The name of the one that is damaged. */
  readonly damaged: string;
}

/** It needs blobs that are not there: it has no tree. */
const WITHOUT_BLOBS = { fixture: 'f42-nydus-v6-bootstrap-only', file: 'bootstrap-layer.tar.gz' };

const SEEDS: readonly FixtureSeed[] = [...FIXTURE_FILES, WITHOUT_BLOBS].flatMap(seedsOf);

function seedsOf(files: FixtureFiles): FixtureSeed[] {
  const { file, ztoc, tocBlob, blobs, isLarge = false } = files;
  const names = [file, ztoc, tocBlob, blobs].filter((name) => name?.includes('.') === true);
  return isLarge ? [] : names.map((name) => ({ files, damaged: name as string }));
}

export const hostileFixture = fc.record({ seed: fc.constantFrom(...SEEDS), damage: mutations });
type HostileFixture = typeof hostileFixture extends fc.Arbitrary<infer T> ? T : never;

export const haveFixtures = findLazyFixtures() !== null;

/** @param folder where the damaged file is written */
export async function fixtureMustBeHandled(
  folder: string,
  { seed, damage }: HostileFixture,
): Promise<void> {
  const { files, damaged } = seed;
  const root = join(findLazyFixtures() as string, files.fixture);
  const bad = join(folder, 'fixture');
  writeFileSync(bad, mutate(readFileSync(join(root, damaged)), damage));
  const pathOf = (name: string): string => (name === damaged ? bad : join(root, name));
  await mustBeHandled([pathOf(files.file)], { ...NOTHING_BESIDE, ...besideOf(files, pathOf) });
}
