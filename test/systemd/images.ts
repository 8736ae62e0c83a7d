// The image of the systemd tests, as if fetched from a registry: a folder web/ with its configuration and its layer.
// tree.sha256 lists the content of its file system.
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packLayer } from '../kernel/images.js';
import { writeTree } from '../kernel/tree.js';
import { runTool } from '../support/tools.js';

const SIZE = 32 << 20;

/** @throws Error with its output if mke2fs fails */
export async function makeHostImages(folder: string): Promise<void> {
  const root = join(folder, 'tree');
  const image = join(folder, 'web.img');
  writeFileSync(join(folder, 'tree.sha256'), writeTree(root).list);
  writeFileSync(image, '');
  truncateSync(image, SIZE);
  const made = await runTool('mke2fs', ['-q', '-F', '-t', 'ext4', '-d', root, image]);
  if (made.code !== 0) throw new Error(`mke2fs: exit ${made.code}: ${made.stderr}`);
  mkdirSync(join(folder, 'web'));
  packLayer(image, join(folder, 'web/layer0.obd'));
  const config = { lowers: [{ file: 'layer0.obd' }] };
  writeFileSync(join(folder, 'web/config.v1.json'), JSON.stringify(config));
}
