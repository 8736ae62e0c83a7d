// Archives of files as opened layers of an image.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { fileRef } from '../../daemon/blob/blob-ref.js';
import { BlobPool } from '../../daemon/image/plan/blob-pool.js';
import type { OpenedLayer } from '../../daemon/image/stack/open-stack.js';
import { ReaderFactory } from '../../daemon/image/disks/reader-factory.js';
import { throwProblem } from '../../daemon/errors.js';
import { openContent } from '../../daemon/image/formats/formats.js';
import { UNBOUNDED } from '../../daemon/lib/effort.js';
import { writeUstar, type TarFile } from './ustar.js';

/** Writes each archive to a file of the test's folder and opens it; bottom first. */
export function layersOf(t: Test, ...archives: readonly TarFile[][]): Promise<OpenedLayer[]> {
  return layersIn(t, ...archives.map(writeUstar));
}

/** The same, from the bytes of each archive. */
export async function layersIn(t: Test, ...archives: readonly Buffer[]): Promise<OpenedLayer[]> {
  const readers = new ReaderFactory();
  const pool = new BlobPool(readers);
  const folder = t.testdir();
  const layers: OpenedLayer[] = [];
  for (const [i, bytes] of archives.entries()) {
    const path = join(folder, `layer${i}.tar`);
    writeFileSync(path, bytes);
    const ref = fileRef(path);
    const blob = await pool.open(ref);
    t.teardown(() => blob.release());
    const inner = await blob.content(UNBOUNDED);
    const rules = {
      blob: blob.raw,
      mayBeRaw: false,
      mayBeUpper: false,
      toc: null,
      needsToc: false,
      tocSource: null,
      objects: null,
      dataBlobs: null,
      target: null,
      ztoc: null,
      digests: null,
      reopen: () => blob.content(UNBOUNDED),
      bootstrapDigest: null,
    };
    const tools = { readers, effort: UNBOUNDED, sink: throwProblem };
    const content = await openContent(inner, rules, tools);
    const own = content.kind === 'tree' && { blob, around: content.around };
    const sources = own ? Array.from({ length: content.tree.sourceCount }, () => own) : [];
    layers.push({
      ref,
      indexRef: null,
      role: 'lower',
      blobs: [blob],
      inner,
      content,
      target: null,
      sources,
      missing: null,
      seeds: [],
    });
  }
  return layers;
}
