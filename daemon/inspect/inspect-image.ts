// The whole of `inspect` but the command line: words to text. Opens, gathers, renders, closes.

import { sourceOfWords } from '../image/image-source.js';
import { planImage } from '../image/plan.js';
import { imageFacts } from './image-facts.js';
import { THROW, openStack } from './open-stack.js';
import { printableJson } from '../lib/printable.js';
import { renderFacts } from './render-facts.js';

/**
 * What there is to say about an image.
 * @param paths a configuration, or blobs, bottom first
 * @throws OverlaybdError for the first thing that is broken or not supported
 */
export async function inspectImage(paths: readonly string[], json: boolean): Promise<string> {
  const stack = await openStack(await planImage(sourceOfWords(paths).blobs), () => THROW);
  try {
    const facts = await imageFacts(stack);
    return json ? `${printableJson(facts)}\n` : renderFacts(facts);
  } finally {
    stack.close();
  }
}
