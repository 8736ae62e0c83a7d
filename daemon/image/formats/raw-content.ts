// A disk image without any format around it: any blob that is in no other format.

import type { BlobSource } from '../../blob/source.js';
import { OverlaybdError } from '../../errors.js';
import type { RawErofs } from '../../erofs/reader/raw-image.js';
import { hasErofsMagic } from './file-signs.js';
import type { Content } from './format.js';
import { rawDiskDoubts } from './raw-disk-checks.js';

export const raw: Content = {
  kind: 'content',
  name: 'raw',
  open: async ({ source }, head, { mayBeRaw }) => {
    if (!mayBeRaw) {
      throw new OverlaybdError(
        'BAD_FORMAT',
        `${source.name}: neither an LSMT layer nor an archive of files: no such header`,
      );
    }
    if (source.size === 0) throw new OverlaybdError('BAD_FORMAT', `${source.name}: empty`);
    const { about, doubts } = await rawErofs(source, head);
    return { kind: 'raw', doubts: [...rawDiskDoubts(head, source.size), ...doubts], about };
  },
};

/** What kernels say to a disk that is an EROFS image. @throws OverlaybdError as checkRawErofs does */
async function rawErofs(source: BlobSource, head: Buffer): Promise<RawErofs> {
  if (!hasErofsMagic(head)) return { about: null, doubts: [] };
  const { checkRawErofs } = await import('../../erofs/reader/raw-image.js');
  return checkRawErofs(source, head);
}
