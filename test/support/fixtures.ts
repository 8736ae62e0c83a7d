// The place of the golden fixtures, their names and their files. It does not know their formats.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Next to the project's folder; this file is compiled to out/test/support. */
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

const SPARSE_TAR = 'upper.data.sparse.tar';

/** The SHA-256 of the disk; null for a fixture that must be refused. */
export function expectedSha256(top: string, name: string): string | null {
  const path = join(top, name, 'expected.sha256');
  return existsSync(path) ? readFileSync(path, 'latin1').trim().slice(0, 64) : null;
}

/** A sparse upper is unpacked to a copy, because copies of its folder have lost the holes. */
export function withHoles(folder: string, makeFolder: () => string): string | null {
  const tar = join(folder, SPARSE_TAR);
  if (!existsSync(tar)) return join(folder, 'config.v1.json');
  const copy = makeFolder();
  copyFiles(folder, copy, (file) => file !== 'upper.data' && file !== SPARSE_TAR);
  const { status } = spawnSync('tar', ['-xSf', tar, '-C', copy]);
  return status === 0 ? join(copy, 'config.v1.json') : null;
}

/** File by file, because a copied folder would be read-only like the original. */
export function copyFiles(from: string, to: string, wanted: (file: string) => boolean): void {
  for (const file of readdirSync(from).filter(wanted)) {
    copyFileSync(join(from, file), join(to, file));
  }
}
