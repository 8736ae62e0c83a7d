// Refuses what is named beside a layer, if the format of the layer has no use for it.

import { OverlaybdError } from '../../errors.js';
import type { ContentRules } from './format.js';

/** Names of formats, as the table of formats has them. */
const WITH_TOC: readonly string[] = ['estargz', 'zstd:chunked'];
const WITH_OBJECTS = 'composefs';
const WITH_DATA_BLOBS: readonly string[] = [
  'rafs',
  'rafs blob',
  'rafs layer',
  'erofs with devices',
];

/**
 * Serving it would not be what the option promises, and nothing would verify it.
 * @param format of the layer
 * @param blob for messages
 * @throws OverlaybdError BAD_FORMAT
 */
export function refuseUnused(
  format: string,
  {
    toc,
    tocSource,
    objects,
    dataBlobs,
  }: Pick<ContentRules, 'toc' | 'tocSource' | 'objects' | 'dataBlobs'>,
  blob: string,
): void {
  let text = '';
  if ((toc || tocSource) && !WITH_TOC.includes(format)) {
    text = 'a table of contents is named for it, but it is not eStargz or zstd:chunked';
  }
  if (objects !== null && format !== WITH_OBJECTS) {
    text = '--objects is for composefs images, and this is not a composefs image';
  }
  if (dataBlobs !== null && !WITH_DATA_BLOBS.includes(format)) {
    text =
      '--blobs is for Nydus images and for EROFS images with further devices, and this is neither';
  }
  if (text !== '') throw new OverlaybdError('BAD_FORMAT', `${blob}: ${text}`);
}
