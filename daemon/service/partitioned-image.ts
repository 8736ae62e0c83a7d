// One partition of an open image as an image of its own.

import type { ReaderFactory } from '../image/build.js';
import { partitionOf } from '../image/disk-partitions.js';
import type { OpenImage } from './image-opener.js';

/**
 * @returns the image itself when no partition is asked for
 * @throws OverlaybdError NOT_FOUND, BAD_FORMAT and what reading the table throws; the image is closed then
 */
export async function partitionedImage(
  image: OpenImage,
  number: number | null,
  readers: ReaderFactory,
): Promise<OpenImage> {
  if (number === null) return image;
  try {
    const disk = image.device;
    const { offset, size } = await partitionOf(readers.device(disk), image.name, number);
    return {
      name: image.name,
      description: `partition ${number} of ${image.description}`,
      size,
      device: { kind: 'partition', disk, offset, size },
      close: () => image.close(),
    };
  } catch (error) {
    image.close();
    throw error;
  }
}
