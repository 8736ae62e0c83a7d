// What status says of the exports: those that are served, and those that are not, with the reason.

import type { ExportStatus } from '../control/api.js';
import { retryDelayMs } from './image-problem.js';
import type { ImageTable } from './image-table.js';

export function exportStatuses(images: ImageTable): ExportStatus[] {
  const served = [...images.exports].map(([name, { image }]): ExportStatus => {
    const { name: of, description, size } = image;
    return { name, state: 'served', image: of, description, size, problem: null };
  });
  const failed = [...images.failed].map(([name, { source, problem }]): ExportStatus => {
    const image = source.paths.join(' ');
    const retrySeconds = retryDelayMs(problem) / 1000;
    const told = { ...problem, retrySeconds };
    return { name, state: 'failed', image, description: '', size: 0, problem: told };
  });
  return [...served, ...failed];
}

/** "3 exports", "3 exports (1 more failed)". */
export function exportCounts({ exports, failed }: ImageTable): string {
  return `${exports.size} exports${failed.size > 0 ? ` (${failed.size} more failed)` : ''}`;
}
