// How an EROFS image with further devices is opened: as a tree, whose contents are in the image and in these devices.

import type { BlobSource } from '../../blob/source.js';
import { checkDeviceSize, openDevices, type NeededSource } from '../../erofs/devices/open.js';
import type { ContentRules, LayerContent, LayerNeed, OpenTools } from './format.js';

/**
 * @param head the first bytes of the image
 * @returns null if its devices are in the image itself and --blobs names nothing: then it is a disk as it is
 * @throws OverlaybdError BAD_FORMAT, BAD_CHECKSUM, LIMIT, UNSUPPORTED, and what reading and the effort throw
 */
export async function openErofsLayer(
  source: BlobSource,
  head: Buffer,
  { dataBlobs }: Pick<ContentRules, 'dataBlobs'>,
  { effort }: Pick<OpenTools, 'effort'>,
): Promise<LayerContent | null> {
  const opened = await openDevices(source, head, effort, dataBlobs === null);
  if (!opened) return null;
  const { tree, sources, format, notes } = opened;
  return { kind: 'tree', format, tree, around: null, needs: sources.map(needOf), notes };
}

function needOf({ device, around }: NeededSource): LayerNeed {
  return {
    id: device?.tag ?? '',
    isLayer: device === null,
    ...(device && { device }),
    pieces: (name, size) => {
      if (device) checkDeviceSize(name, size, device);
      return around;
    },
  };
}
