// The Debian package and one with a later version, built where the tests run: tested machines only install them.
import { spawnSync } from 'node:child_process';
import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const BUILDER = fileURLToPath(new URL('../../../systemd/packaging/deb', import.meta.url));

/** In the folder of the images. The guide installs the only package with such a name. */
export const PACKAGE = 'overlaybd-nbd_current.deb';
export const NEXT_PACKAGE = 'next.deb';
/** The version that {@link NEXT_PACKAGE} has. */
export const NEXT_VERSION = '99.0.0';

/** @throws Error with the output if a package cannot be built */
export function makePackages(folder: string): void {
  renameSync(build(folder), join(folder, PACKAGE));
  renameSync(build(folder, '--version', NEXT_VERSION), join(folder, NEXT_PACKAGE));
}

function build(folder: string, ...options: string[]): string {
  // An emulated processor takes 5 seconds longer to unpack xz.
  const args = ['--into', folder, '--compression', 'gzip', ...options];
  const { status, stdout, stderr } = spawnSync(BUILDER, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${BUILDER}: exit ${status}: ${stderr}`);
  return stdout.trim();
}
