// Tells whether the image that a path names now is the one that a device was attached with: a hash
// over every blob's size, head and tail. The tail of a sealed layer names its index and of a ZFile
// its jump table with its checksum, so a layer that was built again differs, and one that was copied
// or fetched again does not. Not a check of the contents: that is `verify`.

import { createHash } from 'node:crypto';
import { closeSync, fstatSync, readSync } from 'node:fs';
import { openReadOnly } from '../blob/open-file.js';
import { native } from '../native/binding.js';
import type { ImagePlan } from './image-plan.js';

const SAMPLE_SIZE = 8192;

/** @throws OverlaybdError when a blob cannot be opened */
export function fingerprintOf(plan: ImagePlan): string {
  const hash = createHash('sha256');
  const paths = plan.upper ? [...plan.lowers, plan.upper.index, plan.upper.data] : plan.lowers;
  for (const path of paths) {
    const fd = openReadOnly(path);
    try {
      const size = fstatSync(fd).isFile() ? fstatSync(fd).size : native.fileSize(fd);
      const sample = Buffer.alloc(SAMPLE_SIZE);
      hash.update(`${size}\n`);
      hash.update(sample.subarray(0, readSync(fd, sample, 0, SAMPLE_SIZE, 0)));
      const tail = Math.max(0, size - SAMPLE_SIZE);
      hash.update(sample.subarray(0, readSync(fd, sample, 0, SAMPLE_SIZE, tail)));
    } finally {
      closeSync(fd);
    }
  }
  return hash.digest('hex');
}
