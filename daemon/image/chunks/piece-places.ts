// Where the pieces of a source of pieces or objects are in its plain bytes.

import { ObjectPlaces } from '../../composefs/object-table.js';
import { lookupOf, type PieceLookup } from '../../pieces/piece-lookup.js';
import type { AroundSpec } from '../disks/spec.js';

/** What lies between two of them is zeros. */
export type PiecePlaces = Pick<PieceLookup, 'count' | 'find' | 'position' | 'length'>;

/** Of pieces that are compressed one by one, or of objects. */
export function placesOf(around: AroundSpec): PiecePlaces {
  return around.kind === 'pieces' ? lookupOf(around.table) : new ObjectPlaces(around.table);
}
