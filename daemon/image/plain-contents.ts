// What the plain archives on this machine were that an image is made of, and layers whose pieces have no digests. Nothing in them
// says whether their contents are the same: so a digest of all their bytes is taken, which tells a copy from another archive with
// equal headers.

import { createHash } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { closeFile, openPath } from '../blob/file-jobs.js';
import { readInto } from '../blob/source.js';
import type { OpenImage } from './opener.js';
import { ReaderFactory } from './reader-factory.js';
import { contentMarks } from './recorded-tree.js';
import { fileOf, type DiskSpec, type SourceSpec } from './spec.js';

/** Bytes that are read and hashed between two turns of other work: a millisecond. */
const STEP = 1 << 20;

type PlainSpec = Extract<SourceSpec, { kind: 'file' | 'slice' }>;

/**
 * The content sources of an image of files that are files, or parts of them, as they are; and the files of those that have pieces
 * without digests.
 */
export function plainContents(disk: DiskSpec): readonly PlainSpec[] {
  if (disk.kind !== 'lsmt' || disk.layers[0]?.kind !== 'memory') return [];
  const marks = contentMarks(disk);
  return disk.layers.slice(1).flatMap((spec, i) => {
    if (isPlain(spec)) return spec;
    return spec.kind === 'pieces' && marks[i] === '' ? (fileOf(spec) ?? []) : [];
  });
}

/**
 * What the system says of the files that {@link plainContents} names: device, inode, size, time of the last change.
 * @returns null if the image is closed
 * @throws OverlaybdError if one cannot be asked
 */
export async function plainIdentities({
  disk,
  closed,
}: Pick<OpenImage, 'disk' | 'closed'>): Promise<string | null> {
  const identities: string[] = [];
  for (const spec of plainContents(disk)) {
    const file = fileOf(spec);
    // oxlint-disable-next-line no-await-in-loop
    const { fd, identity } = await openPath(`/proc/self/fd/${file?.fd}`);
    closeFile(fd);
    // Its descriptors may be those of other files from then on.
    if (closed().aborted) return null;
    identities.push(identity);
  }
  return identities.join(' ');
}

function isPlain(spec: SourceSpec): spec is PlainSpec {
  return spec.kind === 'file' || (spec.kind === 'slice' && spec.of.kind === 'file');
}

/**
 * @param pauseMs between two steps: all else that the thread and the disk have to do comes first
 * @returns SHA-256 of each of them, in hexadecimal; null if the image was closed meanwhile
 * @throws OverlaybdError if they cannot be read
 */
export async function contentDigests(
  { disk, closed }: Pick<OpenImage, 'disk' | 'closed'>,
  pauseMs: number,
): Promise<string[] | null> {
  const readers = new ReaderFactory();
  const digests: string[] = [];
  const bytes = Buffer.alloc(STEP);
  for (const spec of plainContents(disk)) {
    const source = readers.source(spec);
    const hash = createHash('sha256');
    for (let at = 0; at < source.size; at += STEP) {
      // oxlint-disable-next-line no-await-in-loop
      await pause(pauseMs, undefined, { ref: false });
      // Its descriptors may be those of other files from then on.
      if (closed().aborted) return null;
      const step = bytes.subarray(0, Math.min(STEP, source.size - at));
      // oxlint-disable-next-line no-await-in-loop
      await readInto(source, at, step);
      hash.update(step);
    }
    digests.push(hash.digest('hex'));
  }
  return digests;
}
