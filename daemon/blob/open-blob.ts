// Opens a blob by its name. The only place that knows how each kind of name is opened.

import type { BlobRef } from './blob-ref.js';
import { openFile, type OpenFile } from './open-file.js';

/**
 * @throws OverlaybdError if it cannot be opened; of a file as {@link openFile} says
 */
export function openBlob(ref: BlobRef): Promise<OpenFile> {
  switch (ref.kind) {
    case 'file':
      return openFile(ref.path);
  }
}
