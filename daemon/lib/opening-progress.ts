// How much of an image has been read whose layers are read as a whole when it is opened: as a value, and for people.

import { humanSize } from './format-size.js';

export interface OpeningProgress {
  /** Stored bytes that have been read, of all layers that are read as a whole. */
  readonly bytes: number;
  /** Stored bytes of these layers. */
  readonly total: number;
  /** The layer that was read last, from 1 on: the bottom layer is 1. */
  readonly layer: number;
  /** Layers of the image. */
  readonly layers: number;
}

/** "layer 2 of 5 is being read: 35 % of 812.0 MiB" */
export function openingText({ bytes, total, layer, layers }: OpeningProgress): string {
  const part = total === 0 ? 100 : Math.min(100, Math.floor((100 * bytes) / total));
  return `layer ${layer} of ${layers} is being read: ${part} % of ${humanSize(total)}`;
}
