// How much of an image has been read whose layers are read as a whole when it is opened. Types only.

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
