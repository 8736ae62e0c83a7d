// Tells whether the image that a path names now is the one that a device was attached with: a hash
// over every blob's size, head and tail. The tail of a sealed layer names its index and of a ZFile
// its jump table with its checksum, so a layer that was built again differs, and one that was copied
// or fetched again does not. Not a check of the contents: that is `verify`.

import { createHash } from 'node:crypto';
import { keyOfRef, type BlobRef } from '../blob/blob-ref.js';
import { closeFile } from '../blob/file-jobs.js';
import { openBlob } from '../blob/open-blob.js';
import { readFully } from '../blob/source.js';
import { PARALLEL_FILES } from '../lib/effort.js';
import { mapEach } from '../lib/gate.js';
import type { ImagePlan } from './plan.js';

const SAMPLE_SIZE = 8192;

export interface ImageMarks {
  readonly fingerprint: string;
  /** The very same files, unchanged, as far as the system tells: what may be shared while it is open. */
  readonly identity: string;
}

/** @throws OverlaybdError when a blob cannot be opened or read */
export async function marksOf(plan: ImagePlan): Promise<ImageMarks> {
  const hash = createHash('sha256');
  const refs = plan.upper ? [...plan.lowers, plan.upper.index, plan.upper.data] : plan.lowers;
  const distinct = [...new Map(refs.map((ref) => [keyOfRef(ref), ref]))];
  const samples = await mapEach(distinct, PARALLEL_FILES, async ([key, ref]) => {
    return [key, await sampleOf(ref)] as const;
  });
  const byKey = new Map(samples);
  const all = refs.map((ref) => byKey.get(keyOfRef(ref)) as Sample);
  for (const { size, head, tail } of all) hash.update(`${size}\n`).update(head).update(tail);
  return {
    fingerprint: hash.digest('hex'),
    identity: all.map(({ identity }) => identity).join(' '),
  };
}

interface Sample {
  readonly size: number;
  readonly head: Buffer;
  readonly tail: Buffer;
  readonly identity: string;
}

async function sampleOf(ref: BlobRef): Promise<Sample> {
  const { fd, identity, source } = await openBlob(ref);
  try {
    const { size } = source;
    const sampled = Math.min(size, SAMPLE_SIZE);
    const head = await readFully(source, 0, sampled);
    return { size, head, tail: await readFully(source, size - sampled, sampled), identity };
  } finally {
    closeFile(fd);
  }
}
