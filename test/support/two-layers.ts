// Two layers of files for images: a lower one in eStargz, and an upper one in zstd:chunked that hides a file of it.
import { writeEstargz, type TocFile } from './estargz-writer.js';
import { randomBytes, textBytes } from './pattern.js';

export const noise = randomBytes(1, 3_000_000);
export const words = textBytes(2, 70_000);
export const lower: TocFile[] = [
  { entry: { name: 'bin/', type: 'dir', mode: 0o755 } },
  { entry: { name: 'bin/noise', type: 'reg', mode: 0o755 }, bytes: noise },
  { entry: { name: 'bin/gone', type: 'reg' }, bytes: words },
];
const upper: TocFile[] = [
  { entry: { name: 'bin/.wh.gone', type: 'reg' } },
  { entry: { name: 'words', type: 'reg' }, bytes: words },
  { entry: { name: 'hard', type: 'hardlink', linkName: 'words' } },
];

export const estargz = writeEstargz(lower, {
  form: 'eStargz',
  pieceSize: 1 << 20,
  isArchive: true,
});
export const chunked = writeEstargz(upper, {
  form: 'zstd:chunked',
  pieceSize: 30_000,
  isArchive: true,
});
