// Tells whether the image that a path names now is the one that a device was attached with: a hash
// over every blob's size, head and tail. The tail of a sealed layer names its index and of a ZFile
// its jump table with its checksum, so a layer that was built again differs, and one that was copied
// or fetched again does not. Not a check of the contents: that is `verify`.

import { createHash } from 'node:crypto';
import { closeSync, readSync } from 'node:fs';
import { openFile } from '../blob/open-file.js';
import { OverlaybdError, messageOf } from '../errors.js';
import type { ImagePlan } from './image-plan.js';

const SAMPLE_SIZE = 8192;

export interface ImageMarks {
  readonly fingerprint: string;
  /** The very same files, unchanged, as far as the system tells: what may be shared while it is open. */
  readonly identity: string;
}

/** @throws OverlaybdError when a blob cannot be opened or read */
export function marksOf(plan: ImagePlan): ImageMarks {
  const hash = createHash('sha256');
  const identities: string[] = [];
  const paths = plan.upper ? [...plan.lowers, plan.upper.index, plan.upper.data] : plan.lowers;
  for (const path of paths) {
    const { fd, identity, source } = openFile(path);
    try {
      const { size } = source;
      const sample = Buffer.alloc(SAMPLE_SIZE);
      hash.update(`${size}\n`);
      hash.update(sample.subarray(0, readSync(fd, sample, 0, SAMPLE_SIZE, 0)));
      const tail = Math.max(0, size - SAMPLE_SIZE);
      hash.update(sample.subarray(0, readSync(fd, sample, 0, SAMPLE_SIZE, tail)));
    } catch (error) {
      throw new OverlaybdError('IO', `${path}: ${messageOf(error)}`, { cause: error });
    } finally {
      closeSync(fd);
    }
    identities.push(identity);
  }
  return { fingerprint: hash.digest('hex'), identity: identities.join(' ') };
}
