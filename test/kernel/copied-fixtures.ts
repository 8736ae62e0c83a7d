// The fixtures for a VM, which may not see their folder.
import { cpSync } from 'node:fs';
import { fixtureImages, type FixtureImage } from '../support/fixture-images.js';
import { findLazyFixtures } from '../support/lazy-fixtures.js';

/** @returns none if there are no fixtures */
export function copyFixtures(folder: string): FixtureImage[] {
  const fixtures = findLazyFixtures();
  if (fixtures === null) return [];
  cpSync(fixtures, folder, { recursive: true });
  return fixtureImages(folder);
}
