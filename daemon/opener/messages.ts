// The messages between the control plane and its opener thread. Types only.

import type { BlobParts } from '../image/plan/blob-pool.js';
import type { OpenedImage } from '../image/stack/open.js';
import type { OpeningProgress } from '../lib/opening-progress.js';
import type { PostedError } from '../lib/posted-error.js';
import type { ImageSource } from '../image/plan/image-source.js';
import type { RecordsPlace, RemoteLine } from '../registry/remote.js';

/** Open an image. One at a time: the answer comes before the next request. */
export interface OpenRequest {
  readonly source: ImageSource;
  readonly strict: boolean;
  /** Whether layers are read as a whole, however large they are. */
  readonly readsWhole: boolean;
  readonly records: RecordsPlace | null;
  /** The thread's line to the fetcher; null if the image needs none. */
  readonly fetcher: RemoteLine | null;
}

/** An image without what only the thread that opened it can use. */
export type PostedImage = Omit<OpenedImage, 'blobs'> & { readonly blobs: readonly BlobParts[] };

export type FromOpener =
  /** The thread has opened or closed a descriptor. If the thread dies, the main thread closes those left. */
  | { readonly type: 'descriptor'; readonly fd: number; readonly open: boolean }
  /** The image is not open yet, but the work goes on. */
  | { readonly type: 'advanced'; readonly progress: OpeningProgress | null }
  /** Its layers must be read as a whole: that is for another thread. */
  | { readonly type: 'whole' }
  /** Its descriptors are the receiver's from now on. */
  | { readonly type: 'opened'; readonly image: PostedImage }
  | { readonly type: 'failed'; readonly error: PostedError }
  /** Something that we did not expect. */
  | { readonly type: 'bug'; readonly stack: string };
