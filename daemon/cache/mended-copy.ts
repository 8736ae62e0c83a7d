// Mends a decoded copy that images have open: what differs from a newly made copy is written in place. So all threads,
// and other daemons, read the right bytes from then on. A reader checks each piece, so it never takes half of one for right.

import { open, type FileHandle } from 'node:fs/promises';
import { bounded } from './disk.js';

/** Bytes that are compared, and written if they differ. */
const STEP = 1 << 20;

/**
 * @param from a complete copy
 * @param path of the one that is mended
 * @param advanced called before each step
 * @returns the steps that were written
 * @throws OverlaybdError IO
 */
export async function mendCopy(
  from: FileHandle,
  path: string,
  advanced: () => void,
): Promise<number> {
  const to = await bounded(`write ${path}`, () => open(path, 'r+'));
  let mended = 0;
  try {
    const { size } = await bounded(path, () => from.stat());
    const [right, found] = [Buffer.alloc(STEP), Buffer.alloc(STEP)];
    for (let at = 0; at < size; at += STEP) {
      advanced();
      const length = Math.min(STEP, size - at);
      await readAt(from, right.subarray(0, length), at, path);
      const got = await readAt(to, found.subarray(0, length), at, path);
      if (got === length && right.compare(found, 0, length, 0, length) === 0) continue;
      mended++;
      for (let done = 0; done < length;) {
        const { bytesWritten } = await bounded(`write ${path}`, () =>
          to.write(right, done, length - done, at + done),
        );
        done += bytesWritten;
      }
    }
    await bounded(`write ${path}`, () => to.datasync());
    return mended;
  } finally {
    await to.close();
  }
}

/** @returns bytes that were read: fewer at the end of the file */
async function readAt(file: FileHandle, to: Buffer, at: number, name: string): Promise<number> {
  for (let done = 0; ;) {
    const { bytesRead } = await bounded(name, () =>
      file.read(to, done, to.length - done, at + done),
    );
    done += bytesRead;
    if (bytesRead === 0 || done === to.length) return done;
  }
}
