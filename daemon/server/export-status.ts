// What status says of the exports: those that are served, and those that are not, with the reason.

import type { DaemonStatus, ExportStatus } from '../control/api.js';
import { describeBlobs } from '../image/image-source.js';
import { counted } from '../lib/counted.js';
import { retryDelayMs } from '../image/problem.js';
import type { ImageTable } from '../image/table.js';

export function exportStatuses(images: ImageTable): ExportStatus[] {
  const served = [...images.exports].map(([name, { name: of, image }]): ExportStatus => {
    const { description, size } = image;
    return { name, state: 'served', image: of, description, size, problem: null };
  });
  const failed = [...images.failed].map(([name, { source, problem, isOpening }]): ExportStatus => {
    const image = describeBlobs(source.blobs);
    const retrySeconds = retryDelayMs(problem) / 1000;
    const { code, message, since, tries } = problem;
    return {
      name,
      state: isOpening ? 'opening' : 'failed',
      image,
      description: '',
      size: 0,
      problem: { code, message, since, tries, retrySeconds },
    };
  });
  return [...served, ...failed];
}

/** How many exports there are in each state. */
export function imageCounts({ exports, failed }: ImageTable): DaemonStatus['images'] {
  const opening = [...failed.values()].filter(({ isOpening }) => isOpening).length;
  return { served: exports.size, opening, failed: failed.size - opening };
}

/** "3 exports", "3 exports (1 more failed)". */
export function exportCounts(images: ImageTable): string {
  const { served, opening, failed } = imageCounts(images);
  const others = [
    ...(opening > 0 ? [`${opening} more being opened`] : []),
    ...(failed > 0 ? [`${failed} more failed`] : []),
  ];
  return `${counted(served, 'export')}${others.length > 0 ? ` (${others.join(', ')})` : ''}`;
}
