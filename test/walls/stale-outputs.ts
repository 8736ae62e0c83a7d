// Outputs in out/ whose sources are gone. The compiler leaves them there; a test of a deleted file would
// run for ever.

import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** What tsc makes of a source. */
const OUTPUT = /\.js(?:\.map)?$/;

/** @param root the repository. @returns what was removed, from there */
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
