// The whole of `inspect` but the command line: words to text. Opens, gathers, renders, closes.

import { imageFacts } from './image-facts.js';
import { withInspectedImage } from './open-for-inspection.js';
import { printableJson } from '../lib/printable.js';
import { renderFacts } from './render-facts.js';

/**
 * What there is to say about an image.
 * @param words a configuration, or blobs, bottom first
 * @throws OverlaybdError for the first thing that is broken or not supported
 */
export function inspectImage(words: readonly string[], json: boolean): Promise<string> {
  return withInspectedImage(words, async (image) => {
    const facts = await imageFacts(image);
    return json ? `${printableJson(facts)}\n` : renderFacts(facts);
  });
}
