// Runs the rest of the new bundle once, so that its code cache holds what layers of files and the commands that look into
// images need: `inspect` opens a small layer as every command and the daemon do.

import { spawnSync } from 'node:child_process';
import { accessSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { bundleOf } from '../compile.js';
import { restEntryOf } from '../rest.js';

const TIMEOUT_MS = 60_000;
const RECORD = fileURLToPath(new URL('record-command.js', import.meta.url));
const TAR_BLOCK = 512;

/**
 * @param main the entry of the main thread
 * @throws Error if the command fails, or if there is no cache afterwards
 */
export function recordRest(main: string): void {
  const folder = mkdtempSync(join(tmpdir(), 'obd-bundle-'));
  try {
    const layer = join(folder, 'layer.tar.gz');
    writeFileSync(layer, gzipSync(archive()));
    const { status, stderr } = spawnSync(process.execPath, [RECORD, main, 'inspect', layer], {
      encoding: 'utf8',
      timeout: TIMEOUT_MS,
      // The settings of the machine that builds are not those of the machine that runs it.
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    if (status !== 0)
      throw new Error(`the bundle does not inspect: exit code ${status}\n${stderr}`);
    accessSync(bundleOf(restEntryOf(main)).cache);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A folder and a file in it. */
function archive(): Buffer {
  const data = Buffer.alloc(TAR_BLOCK, 'text');
  const end = Buffer.alloc(2 * TAR_BLOCK);
  return Buffer.concat([
    header('folder/', '5', 0),
    header('folder/file', '0', TAR_BLOCK),
    data,
    end,
  ]);
}

function header(name: string, type: string, size: number): Buffer {
  const block = Buffer.alloc(TAR_BLOCK);
  block.write(name, 0, 'latin1');
  block.write('0000755', 100, 'latin1');
  block.write(size.toString(8).padStart(11, '0'), 124, 'latin1');
  block.write(type, 156, 'latin1');
  block.write('ustar\x0000', 257, 'latin1');
  block.fill(' ', 148, 156);
  const sum = block.reduce((all, byte) => all + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}
