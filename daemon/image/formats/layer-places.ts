// Where an opening finds and keeps what was found when a layer was read as a whole.

import type { LayerRecords } from '../../cache/layer-records.js';
import type { PlainCopies } from '../../cache/plain-copies.js';
import type { RecordKey } from '../../cache/record-files.js';
import type { ContentRules, OpenTools } from './format.js';

export interface LayerPlaces {
  readonly records: LayerRecords | null;
  readonly copies: PlainCopies | null;
  readonly key: RecordKey | null;
}

export const NO_PLACES: LayerPlaces = { records: null, copies: null, key: null };

/** @param ofSmall whether a small file has a record, too: in zstd it may have very many plain bytes */
export async function placesOf(
  ofSmall: boolean,
  { recordKey }: Pick<ContentRules, 'recordKey'>,
  { records: place = null, readers }: Pick<OpenTools, 'readers' | 'records'>,
  isCached: boolean,
): Promise<LayerPlaces> {
  const key = place && recordKey ? await recordKey(ofSmall) : null;
  if (!place || !key) return NO_PLACES;
  const { LayerRecords } = await import('../../cache/layer-records.js');
  const { PlainCopies } = await import('../../cache/plain-copies.js');
  const ask = async (bytes: number, file: string): Promise<string | null> =>
    (await readers.fetcher().makeRoom?.(bytes, file)) ?? null;
  // The fetcher has the cache, and is not started for files of a cache without a limit.
  const makeRoom = isCached || place.limit !== null ? ask : null;
  const copies = new PlainCopies(place, makeRoom);
  const isAnew = place.isAnew || (await copies.isDamaged(key));
  const records = isAnew ? null : new LayerRecords(place, makeRoom);
  return { records, copies, key };
}
