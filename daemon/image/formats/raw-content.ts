// A disk image without any format around it: any blob that is in no other format.

import type { BlobSource } from '../../blob/source.js';
import { OverlaybdError } from '../../errors.js';
import type { RawErofs } from '../../erofs/reader/raw-image.js';
import { hasErofsMagic } from './file-signs.js';
import { hexOf } from '../../lib/bytes.js';
import { quoted } from '../../lib/printable.js';
import type { Content } from './format.js';
import { isSurelyPacked, packedAs, rawDiskDoubts } from './raw-disk-checks.js';

/** Of the begin of a blob, in messages: as many as the longest magic. */
const SHOWN_BYTES = 8;

export const raw: Content = {
  kind: 'content',
  name: 'raw',
  open: async ({ source }, head, { mayBeRaw }) => {
    const got = beginOf(head);
    const packed = packedAs(head);
    if (packed !== null && (!mayBeRaw || isSurelyPacked(head, source.size, source.name))) {
      const facts = { blob: source.name, offset: 0, got };
      throw new OverlaybdError('BAD_FORMAT', `${source.name}: ${packed}`, { facts });
    }
    if (!mayBeRaw) {
      const why = `neither an LSMT layer nor an archive of files: no such header: ${got}`;
      const facts = { blob: source.name, offset: 0, got };
      throw new OverlaybdError('BAD_FORMAT', `${source.name}: ${why}`, { facts });
    }
    if (source.size === 0) throw new OverlaybdError('BAD_FORMAT', `${source.name}: empty`);
    const { about, doubts } = await rawErofs(source, head);
    return { kind: 'raw', doubts: [...rawDiskDoubts(head, source.size), ...doubts], about };
  },
};

/** What is there instead of a header, for people: a page of errors of a server, for example. */
function beginOf(head: Buffer): string {
  if (head.length === 0) return 'it is empty';
  const begin = head.subarray(0, SHOWN_BYTES);
  const text = begin.toString('latin1');
  const shown = /^[ -~]+$/.test(text) ? ` (${quoted(text)})` : '';
  return `it begins with the bytes ${hexOf(begin)}${shown}`;
}

/** What kernels say to a disk that is an EROFS image. @throws OverlaybdError as checkRawErofs does */
async function rawErofs(source: BlobSource, head: Buffer): Promise<RawErofs> {
  if (!hasErofsMagic(head)) return { about: null, doubts: [] };
  const { checkRawErofs } = await import('../../erofs/reader/raw-image.js');
  return checkRawErofs(source, head);
}
