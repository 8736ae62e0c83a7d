// Opens a damaged image and reads all of it: it must be refused, or have the tree that the good one has; pages of files may be
// missing, with an error. Anything else is a violation: other bytes, other names or attributes, a crash, too much time or memory.
import { isDeepStrictEqual } from 'node:util';
import { OverlaybdError } from '../../../daemon/errors.js';
import type { Beside } from '../../../daemon/image/plan/image-source.js';
import type { Disk } from '../../../daemon/lib/disk.js';
import { readErofs } from '../erofs/reader.js';
import { bytesOfDevice, PAGE } from '../erofs/tree-of-device.js';
import { filesOf, type TreeFile } from '../forms/tree-files.js';
import { withDevice } from '../in-process.js';
import { settledMemory } from '../settled-memory.js';

/** Milliseconds of processor time that a case may take: other work in the process counts as well. */
const CASE_CPU_MS = 60_000;
/** Bytes that may be allocated outside the JavaScript heap after a case: a zstd frame that does not say its length takes 64 MiB. */
const CASE_MEMORY = 160 << 20;
export interface FlipSource {
  readonly words: readonly string[];
  readonly beside: Partial<Beside>;
}

/** 'refused': the image; 'broken': some of its pages; 'equal': nothing is wrong with what is served. */
export type Outcome = 'refused' | 'broken' | 'equal';

/** @throws OverlaybdError if it cannot be opened, Error if a page cannot be read */
export async function goodTree({ words, beside }: FlipSource): Promise<TreeFile[]> {
  return withDevice(
    words,
    async ({ device }) => {
      const { files, broken } = await treeOn(device);
      if (broken > 0) throw new Error(`${broken} pages of a good image cannot be read`);
      return files;
    },
    beside,
  );
}

/** @throws Error for a violation */
export async function judge(source: FlipSource, good: readonly TreeFile[]): Promise<Outcome> {
  const start = process.cpuUsage();
  const outcome = await outcomeOf(source, good);
  const { user, system } = process.cpuUsage(start);
  const ms = (user + system) / 1000;
  if (ms > CASE_CPU_MS) throw new Error(`took ${ms.toFixed(0)} ms of processor time`);
  // To collect garbage after each case would take most of the time.
  if (process.memoryUsage().arrayBuffers <= CASE_MEMORY) return outcome;
  const memory = settledMemory();
  if (memory > CASE_MEMORY) throw new Error(`${memory} bytes are allocated after it`);
  return outcome;
}

async function outcomeOf(
  { words, beside }: FlipSource,
  good: readonly TreeFile[],
): Promise<Outcome> {
  try {
    return await withDevice(
      words,
      async ({ device }) => {
        const { files, broken, missing } = await treeOn(device);
        compare(files, good, missing);
        return broken > 0 ? 'broken' : 'equal';
      },
      beside,
    );
  } catch (error) {
    if (error instanceof OverlaybdError) return 'refused';
    throw error;
  }
}

interface DeviceTree {
  files: TreeFile[];
  /** Pages of the device that cannot be read; they have zeros. */
  broken: number;
  /** By path: how many of them a file has. */
  missing: Map<string, number>;
}

async function treeOn(disk: Disk): Promise<DeviceTree> {
  const { bytes, broken } = await bytesOfDevice(disk);
  const seen = new Set<number>();
  const { entries } = readErofs((at, n) => {
    for (let page = at - (at % PAGE); page < at + n; page += PAGE) seen.add(page);
    return bytes.subarray(at, at + n);
  }, disk.size);
  const missing = new Map<string, number>();
  for (const { path, inode } of entries) {
    seen.clear();
    inode.read?.();
    missing.set(path, [...seen].filter((page) => broken.has(page)).length);
  }
  return { files: filesOf(entries), broken: broken.size, missing };
}

function compare(
  got: readonly TreeFile[],
  good: readonly TreeFile[],
  missing: DeviceTree['missing'],
): void {
  if (got.length !== good.length) throw new Error(`${got.length} entries, and not ${good.length}`);
  for (const [i, file] of got.entries()) {
    const wanted = good[i] as TreeFile;
    const [{ bytes, ...fields }, { bytes: content, ...expected }] = [file, wanted];
    const [have, want] = [fieldsOf(fields), fieldsOf(expected)];
    if (!isDeepStrictEqual(have, want)) {
      throw new Error(`${JSON.stringify(have)}, and not ${JSON.stringify(want)}`);
    }
    if (bytes && content) compareContents(bytes, content, wanted.path, missing);
  }
}

/** Sizes of directories are the business of each format. */
function fieldsOf({ size, xattrs, ...rest }: Omit<TreeFile, 'bytes'>): unknown {
  return { ...rest, xattrs: { ...xattrs }, ...(rest.type !== 'dir' && { size }) };
}

function compareContents(
  got: Buffer,
  want: Buffer,
  path: string,
  missing: DeviceTree['missing'],
): void {
  let unread = missing.get(path) ?? 0;
  for (let at = 0; at < want.length; at += PAGE) {
    const [page, wanted] = [got.subarray(at, at + PAGE), want.subarray(at, at + PAGE)];
    if (page.equals(wanted)) continue;
    if (unread > 0 && page.every((byte) => byte === 0)) {
      unread--;
      continue;
    }
    const i = page.findIndex((byte, k) => byte !== wanted[k]);
    throw new Error(`other bytes in ${JSON.stringify(path)}, from byte ${at + i} on`);
  }
}
