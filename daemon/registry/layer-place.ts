// How messages and facts name a manifest of an image, and a layer of it.

import type { ErrorFacts } from '../errors.js';
import { within, type About } from '../lib/fault.js';

/** "NAME: layer 0 of 3" */
export function layerPlace(image: About, i: number, layers: readonly unknown[]): ErrorFacts {
  return within(image, `layer ${i} of ${layers.length}`);
}

/** "NAME: manifest sha256:..." */
export function manifestPlace(image: string, digest: string): ErrorFacts {
  return { ...within(image, `manifest ${digest}`), digest };
}
