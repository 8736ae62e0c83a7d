// The combinations of wrappers of a layer, and applying them; the wrappers themselves are elsewhere.
import type { Algorithm } from '../../daemon/codec/algorithm.js';
import { wrapTar } from './tar-writer.js';
import { writeZfile } from './zfile-writer.js';

export interface Wrapper {
  /** null: the LSMT blob is not compressed. */
  zfile: {
    algorithm: Algorithm;
    /** Bytes. */
    blockSize: number;
    verify: boolean;
    mode: 'header' | 'trailer';
  } | null;
  tar: 'none' | 'ustar' | 'pax';
}

/** Puts the wrappers around `blob`: ZFile inside, tar outside. */
export function wrap(blob: Buffer, { zfile, tar }: Wrapper): Buffer {
  const packed = zfile ? writeZfile(blob, zfile) : blob;
  return tar === 'none' ? packed : wrapTar(packed, { pax: tar === 'pax' });
}
