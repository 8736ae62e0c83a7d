// Where the golden fixtures are and what they are called; neither their formats nor their meaning.
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Beside the project's folder; this file is compiled to out/test/support. */
const BESIDE_PROJECT = fileURLToPath(new URL('../../../../shared/fixtures', import.meta.url));

/**
 * The folder of the fixtures: $OVERLAYBD_FIXTURES, or ../shared/fixtures beside the project.
 * @returns null when they are not on this machine
 * @throws Error when the variable names a folder that is not there: that is a mistake, not an absence
 */
export function fixturesRoot(): string | null {
  const named = process.env['OVERLAYBD_FIXTURES'];
  if (named !== undefined && named !== '') {
    if (!existsSync(named)) throw new Error(`OVERLAYBD_FIXTURES: ${named} is not there`);
    return named;
  }
  return existsSync(BESIDE_PROJECT) ? BESIDE_PROJECT : null;
}

/** The fixtures in `root`, sorted: every folder that has a config.v1.json. */
export function fixtureNames(root: string): string[] {
  return readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(`${root}/${entry.name}/config.v1.json`))
    .map((entry) => entry.name)
    .toSorted();
}
