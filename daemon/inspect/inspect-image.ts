// The whole of `inspect` but the command line: words to text. Opens, gathers, renders, closes.

import { imageFacts, type NameFilesystem } from './image-facts.js';
import type { Beside } from '../image/plan/image-source.js';
import { NO_REMOTE, type Remote } from '../registry/remote.js';
import { withInspectedImage, type InspectedImage } from './open-for-inspection.js';
import type { Progress } from '../lib/effort.js';
import { printableJson } from '../lib/printable.js';
import { renderFacts } from './render-facts.js';

/**
 * What there is to say about an image.
 * @param words a configuration, or blobs, bottom first
 * @throws OverlaybdError for the first thing that is broken or not supported
 */
export function inspectImage(
  words: readonly string[],
  json: boolean,
  remote: Remote = NO_REMOTE,
  beside: Beside | null = null,
  progress?: Progress,
  nameFilesystem?: NameFilesystem,
): Promise<string> {
  const use = async (image: InspectedImage): Promise<string> => {
    const facts = await imageFacts(image, nameFilesystem);
    return json ? `${printableJson(facts)}\n` : renderFacts(facts);
  };
  return withInspectedImage(words, use, remote, beside, progress);
}
