// The metadata contexts of block status: their names, which queries match them, and the flags of an extent in
// each. docs/nbd-protocol.md describes overlaybd:layer for clients.

import { EXTENT_DATA, EXTENT_HOLE, EXTENT_ZEROED } from '../lib/extent-list.js';
import { NBD_STATE_HOLE, NBD_STATE_ZERO } from './constants.js';

/** overlaybd:layer: no layer maps the extent. */
const LAYER_STATE_HOLE = 0x200;
/** overlaybd:layer: the layer in bits 0 to 7 zeroes the extent. */
const LAYER_STATE_ZEROED = 0x100;

export interface MetaContext {
  readonly name: string;
  /**
   * The status flags of an extent.
   * @param kind EXTENT_DATA, EXTENT_ZEROED or EXTENT_HOLE
   */
  flagsOf(kind: number, layer: number): number;
}

/** All contexts of every export. */
export const META_CONTEXTS: readonly MetaContext[] = [
  {
    name: 'base:allocation',
    // A zeroed range is not stored either.
    flagsOf: (kind) => (kind === EXTENT_DATA ? 0 : NBD_STATE_HOLE | NBD_STATE_ZERO),
  },
  {
    name: 'overlaybd:layer',
    flagsOf: (kind, layer) => {
      if (kind === EXTENT_HOLE) return LAYER_STATE_HOLE;
      return kind === EXTENT_ZEROED ? LAYER_STATE_ZEROED | layer : layer;
    },
  },
];

/** The contexts that a LIST asks for: no queries mean all, "namespace:" means all of that namespace. */
export function listContexts(queries: readonly string[]): MetaContext[] {
  return META_CONTEXTS.filter(
    ({ name }) =>
      queries.length === 0 ||
      queries.some((query) => query === name || query === `${name.split(':')[0]}:`),
  );
}

/** The contexts that a SET selects: by exact names only; wildcards and unknown names are ignored. */
export function selectContexts(queries: readonly string[]): MetaContext[] {
  return META_CONTEXTS.filter(({ name }) => queries.includes(name));
}
