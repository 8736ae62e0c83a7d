// Archives of files as opened layers of an image, for tests without the daemon's own reader of archives.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { fileRef } from '../../daemon/blob/blob-ref.js';
import { BlobPool } from '../../daemon/image/blob-pool.js';
import type { OpenedLayer } from '../../daemon/image/open-stack.js';
import { ReaderFactory } from '../../daemon/image/reader-factory.js';
import { UNBOUNDED } from '../../daemon/lib/effort.js';
import { treeOf } from './trees.js';
import { walkUstar, writeUstar, type TarFile } from './ustar.js';

/** Writes each archive to a file of the test's folder and opens it; bottom first. */
export async function layersOf(t: Test, ...archives: readonly TarFile[][]): Promise<OpenedLayer[]> {
  const pool = new BlobPool(new ReaderFactory());
  const folder = t.testdir();
  const layers: OpenedLayer[] = [];
  for (const [i, files] of archives.entries()) {
    const bytes = writeUstar(files);
    const path = join(folder, `layer${i}.tar`);
    writeFileSync(path, bytes);
    const ref = fileRef(path);
    const blob = await pool.open(ref);
    t.teardown(() => blob.release());
    const inner = await blob.content(UNBOUNDED);
    const tree = treeOf(walkUstar(bytes), `layer${i}.tar`);
    const content = { kind: 'tree', format: 'tar', tree, around: null, notes: [] } as const;
    layers.push({ ref, indexRef: null, role: 'lower', blobs: [blob], inner, content });
  }
  return layers;
}
