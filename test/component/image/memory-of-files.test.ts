// What files take of the memory that all threads share: 100,000 of them take at most 15 MiB, whatever the format of their
// layer is. Counted by the bytes of all arrays of an opened image, not by what the process has.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { withDevice } from '../../support/in-process.js';
import { MANY_FILES, type MakeFiles } from '../../support/many-files.js';
import type { Beside } from '../../../daemon/image/plan/image-source.js';

const COUNT = 800;
const PER_FILE = (15 << 20) / 100_000;
/** Of images of no files: a superblock, a root, the begins of tables. */
const FIXED = 8000;

for (const [name, make] of Object.entries<MakeFiles>(MANY_FILES)) {
  await test(name, async (t) => {
    const { files, beside } = make(COUNT);
    const folder = t.testdir();
    const paths = Object.entries(files).map(([file, bytes]) => {
      const path = join(folder, file);
      writeFileSync(path, bytes);
      return path;
    });
    const bytes = await bytesOf(t, paths[0] as string, beside?.(folder) ?? null);
    const perFile = (bytes - FIXED) / COUNT;
    t.ok(perFile <= PER_FILE, `${perFile.toFixed(1)} bytes a file, at most ${PER_FILE.toFixed(1)}`);
  });
}

function bytesOf(t: Test, path: string, beside: Partial<Beside> | null): Promise<number> {
  return withDevice(
    [path],
    ({ image }) => {
      const seen = new Set<ArrayBufferLike>();
      const bytes = sharedBytes(image.disk, seen);
      t.ok(seen.size > 3, `${seen.size} arrays`);
      return bytes;
    },
    beside,
  );
}

/** Of all memory in a value, however deep, each once. */
function sharedBytes(value: unknown, seen: Set<ArrayBufferLike>): number {
  const memory = ArrayBuffer.isView(value) ? value.buffer : value;
  if (memory instanceof SharedArrayBuffer || memory instanceof ArrayBuffer) {
    if (seen.has(memory)) return 0;
    seen.add(memory);
    return memory.byteLength;
  }
  if (typeof value !== 'object' || value === null) return 0;
  return Object.values(value).reduce<number>((sum, item) => sum + sharedBytes(item, seen), 0);
}
