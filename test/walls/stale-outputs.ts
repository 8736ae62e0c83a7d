// Outputs in out/ whose sources are gone. The compiler does not remove them, and the test of a deleted file would run
// for ever.

import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** The outputs of tsc for a source. */
const OUTPUT = /\.js(?:\.map)?$/;

/** @param root the repository. @returns the removed files, relative to it */
export function removeStaleOutputs(root: string): string[] {
  const removed: string[] = [];
  for (const folder of ['daemon', 'systemd', 'test']) {
    const outputs = join(root, 'out', folder);
    if (!existsSync(outputs)) continue;
    for (const name of readdirSync(outputs, { recursive: true, encoding: 'utf8' })) {
      if (!OUTPUT.test(name)) continue;
      if (existsSync(join(root, folder, name.replace(OUTPUT, '.ts')))) continue;
      rmSync(join(outputs, name));
      removed.push(join('out', folder, name));
    }
  }
  return removed;
}
