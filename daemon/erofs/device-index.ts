// The index of the device, of the kind that merged layers have: so the read path is the one of every image.

import { OverlaybdError } from '../errors.js';
import { buildIndex } from '../lsmt/build-index.js';
import { EntryLog, entriesIn } from '../lsmt/entry-log.js';
import type { LsmtIndexData } from '../lsmt/merged-index.js';
import type { DeviceRows } from './contents.js';

/** Entries before neighbours are joined: what a device of 16 TiB takes, and ten million files besides. */
const MAX_DEVICE_ENTRIES = 12_000_000;

/**
 * @param name of the image, for messages
 * @throws OverlaybdError LIMIT
 */
export function indexOf(rows: DeviceRows, deviceSize: number, name: string): LsmtIndexData {
  const { count, sectors, lengths, sources, moffsets } = rows;
  let entries = 0;
  for (let i = 0; i < count; i++) entries += entriesIn(lengths[i] as number);
  if (entries > MAX_DEVICE_ENTRIES) {
    const message = `${name}: ${entries} pieces of contents, at most ${MAX_DEVICE_ENTRIES}`;
    throw new OverlaybdError('LIMIT', message);
  }
  const log = new EntryLog(entries);
  for (let i = 0; i < count; i++) {
    log.pushRange(
      sectors[i] as number,
      lengths[i] as number,
      moffsets[i] as number,
      sources[i] as number,
    );
  }
  return buildIndex(log, deviceSize, name);
}
