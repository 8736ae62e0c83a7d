// Opens an image and closes it, so that the folder of the cache has what an opening keeps there.

import { sourceOfWords } from '../image/plan/image-source.js';
import { openStack } from '../image/stack/open-stack.js';
import { planImage } from '../image/plan/plan.js';
import type { Progress } from '../lib/effort.js';
import type { Remote } from '../registry/remote.js';
import { inspectionOptions } from './open-for-inspection.js';

/**
 * @param reference the name of an image
 * @param progress reports layers that must be read as a whole
 * @returns what people should know about its layers
 * @throws OverlaybdError for the first thing that keeps it from being served
 */
export async function openOnce(
  reference: string,
  remote: Remote,
  progress: Progress,
): Promise<string[]> {
  const options = { ...inspectionOptions(remote, progress), mayBeUpper: false };
  const { files, effort } = options;
  try {
    const { blobs } = sourceOfWords([reference]);
    const plan = await planImage(blobs, files, { effort, remote: () => remote.images() });
    const layers = await openStack(plan, options);
    return layers.flatMap(({ content }) => (content.kind === 'tree' ? content.notes : []));
  } finally {
    files.release();
  }
}
