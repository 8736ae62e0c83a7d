// Which files of an image of layers of files a failed read was of: found in the metadata of the device when a line is
// written about it, by a walk over the tree. Nothing of it is kept, but the last few files.

import { setImmediate as nextTurn } from 'node:timers/promises';
import { BLOCK, NO_BLOCK } from '../erofs/format.js';
import { ErofsImage } from '../erofs/reader/image.js';
import { readSuperblock } from '../erofs/reader/superblock.js';
import { UNBOUNDED, type Effort } from '../lib/effort.js';
import { monotonicMs } from '../lib/clock.js';
import { SECTOR } from '../lsmt/format.js';
import { LsmtIndex } from '../lsmt/merged-index.js';
import { shownPath } from '../tree/names.js';
import type { DiskSpec, SourceSpec } from './disks/spec.js';

/**
 * Reads that wait for a walk; of further ones no file is named.
 * @internal for its unit test
 */
export const MAX_WAITING = 64;
/** Files of a disk that are remembered, because reads of a bad file are repeated. */
const MAX_KNOWN = 64;
/** Files of one read that are named. */
const MAX_NAMED = 3;
/** How long a walk keeps other work waiting. */
const TURN_MS = 5;
const TYPE = 0o170000;
const REGULAR = 0o100000;

type TreeDisk = Extract<DiskSpec, { kind: 'lsmt' }>;

/** A file that has blocks. */
interface FileRun {
  readonly path: string;
  /** The first block, and the one after the last. */
  readonly begin: number;
  readonly end: number;
}

interface Question {
  readonly disk: TreeDisk;
  /** Blocks. */
  readonly begin: number;
  readonly end: number;
  readonly files: FileRun[];
  /** Blocks of which no file has been found. */
  missing: number;
  readonly answer: (text: string | null) => void;
}

export class FailedFiles {
  readonly #known = new WeakMap<DiskSpec, readonly FileRun[]>();
  #waiting: Question[] = [];
  #isWalking = false;

  /**
   * @param offset byte offset in the device
   * @returns `file "etc/passwd" of /layers/base.tar`; null if it is not known, or the image is not made of layers of files
   */
  async of(disk: DiskSpec, offset: number, length: number): Promise<string | null> {
    if (disk.kind !== 'lsmt' || disk.layers[0]?.kind !== 'memory') return null;
    const [begin, end] = [Math.floor(offset / BLOCK), Math.ceil((offset + length) / BLOCK)];
    const known = this.#known.get(disk)?.filter((run) => isWithin(run, begin, end)) ?? [];
    if (blocksOf(known, begin, end) === end - begin) return textOf(disk, known, begin);
    if (this.#waiting.length >= MAX_WAITING) return null;
    return new Promise((answer) => {
      this.#waiting.push({ disk, begin, end, files: [], missing: end - begin, answer });
      if (!this.#isWalking) void this.#walkAll();
    });
  }

  /** One walk at a time, which answers all questions about a disk. */
  async #walkAll(): Promise<void> {
    this.#isWalking = true;
    // What fails at the same time is asked at the same time.
    await nextTurn();
    for (let next = this.#waiting[0]; next; next = this.#waiting[0]) {
      const { disk } = next;
      const asked = this.#waiting.filter((each) => each.disk === disk);
      this.#waiting = this.#waiting.filter((each) => each.disk !== disk);
      await findFiles(disk, asked).catch(() => undefined);
      for (const { begin, end, files, answer } of asked) {
        const others = this.#known.get(disk)?.filter((run) => !isWithin(run, begin, end)) ?? [];
        this.#known.set(disk, [...files, ...others].slice(0, MAX_KNOWN));
        answer(textOf(disk, files, begin));
      }
    }
    this.#isWalking = false;
  }
}

function isWithin(run: { begin: number; end: number }, begin: number, end: number): boolean {
  return run.begin < end && begin < run.end;
}

/** How many blocks from `begin` to `end` the files have. */
function blocksOf(files: readonly FileRun[], begin: number, end: number): number {
  return files.reduce(
    (sum, file) => sum + Math.min(file.end, end) - Math.max(file.begin, begin),
    0,
  );
}

/** Ends a walk. */
class Found extends Error {}

/** @throws Found if there is nothing more to find; OverlaybdError if the metadata are damaged */
async function findFiles(disk: TreeDisk, asked: readonly Question[]): Promise<void> {
  const [metadata] = disk.layers;
  if (metadata?.kind !== 'memory') return;
  const bytes = Buffer.from(metadata.memory);
  const image = new ErofsImage(bytes, readSuperblock(bytes, metadata.name), metadata.name);
  const first = Math.min(...asked.map(({ begin }) => begin));
  const last = Math.max(...asked.map(({ end }) => end));
  let open = asked.length;
  /** A file with several names is one file. */
  const seen = new Set<number>();
  await image.walk(politely(), ({ path, inode: { at, mode, place, size } }) => {
    if ((mode & TYPE) !== REGULAR || place === NO_BLOCK) return;
    const run = { path, begin: place, end: place + Math.ceil(size / BLOCK) };
    if (!isWithin(run, first, last) || seen.has(at)) return;
    const wanted = asked.filter(({ begin, end }) => isWithin(run, begin, end));
    if (wanted.length === 0) return;
    seen.add(at);
    for (const question of wanted) {
      question.files.push(run);
      question.missing -= blocksOf([run], question.begin, question.end);
      if (question.missing === 0) open--;
    }
    if (open === 0) throw new Found();
  });
}

/** Lets other work have its turn. */
function politely(): Effort {
  let since = monotonicMs();
  return {
    ...UNBOUNDED,
    turn: () => {
      if (monotonicMs() - since < TURN_MS) return null;
      return nextTurn().then(() => void (since = monotonicMs()));
    },
  };
}

function textOf(disk: TreeDisk, files: readonly FileRun[], begin: number): string | null {
  if (files.length === 0) return null;
  const sorted = files.toSorted((a, b) => a.begin - b.begin);
  const names = sorted.slice(0, MAX_NAMED).map(({ path }) => shownPath(path));
  const more = files.length > MAX_NAMED ? ` and ${files.length - MAX_NAMED} more` : '';
  const first = sorted[0] as FileRun;
  const source = sourceAt(disk, Math.max(begin, first.begin), first.end);
  const of = source === null ? '' : ` of ${source}`;
  return `${files.length === 1 ? 'file' : 'files'} ${names.join(', ')}${more}${of}`;
}

/** The name of the first content source that has something of these blocks. */
function sourceAt(disk: TreeDisk, begin: number, end: number): string | null {
  const index = new LsmtIndex(disk.index);
  const i = index.find((begin * BLOCK) / SECTOR, 0);
  if (i === index.count || index.offsetOf(i) * SECTOR >= end * BLOCK) return null;
  const spec = disk.layers[index.layerOf(i)];
  return spec ? nameOf(spec) : null;
}

function nameOf(spec: SourceSpec): string {
  return 'name' in spec ? spec.name : nameOf(spec.of);
}
