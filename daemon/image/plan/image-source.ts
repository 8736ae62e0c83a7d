// What an export or a device is made of, as it was given. What files that means is found by plan.ts.

import { describeRef, keyOfRef, refOfText, type BlobRef } from '../../blob/blob-ref.js';

export interface ImageSource {
  /** One configuration, or blobs, bottom first. */
  readonly blobs: readonly BlobRef[];
  /** The number of the one partition that is served; null is the whole disk. */
  readonly partition: number | null;
  /** What lies beside the layers; absent: nothing. */
  readonly beside?: Beside;
}

/** What is named beside layers of files that are given as files. */
export interface Beside {
  /** The path of the blob with the table of contents of the only layer; null: it is in the layer. */
  readonly tocBlob: string | null;
  /** The digest that the table of contents of the only layer must have; null: any. */
  readonly tocDigest: string | null;
  /** The path of the ztoc of each layer, null for a layer without one; empty: no layer has one. */
  readonly ztocs: readonly (string | null)[];
  /** The path of the folder with the objects of a composefs image; absent: none is named. */
  readonly objects?: string;
  /** Only this layer, 0 is the bottom: its tree alone, with its whiteouts; absent: all layers. */
  readonly layer?: number;
  /** Whether layers of an image may have tables of contents that the manifest has no digest of; absent: no. */
  readonly insecureToc?: true;
  /**
   * The SOCI index of an image: its digest, its name in a registry or a layout ("docker://...", "oci:..."), or the path of a file that has it; "none":
   * the image is opened without one; absent: as the image says.
   */
  readonly sociIndex?: string;
  /** The path of the folder with its data blobs; absent: it needs none. */
  readonly blobs?: string;
}

export const NOTHING_BESIDE: Beside = { tocBlob: null, tocDigest: null, ztocs: [] };

/** The source that words of a command line, a configuration or a request name. */
export function sourceOfWords(
  words: readonly string[],
  partition: number | null = null,
  beside: Beside | null = null,
): ImageSource {
  return { blobs: words.map(refOfText), partition, ...(beside && { beside }) };
}

/** The source with the SOCI index that an open image has: what was pushed since does not matter. */
export function withSociIndex(source: ImageSource, sociIndex: string | null): ImageSource {
  if (sociIndex === null) return source;
  return { ...source, beside: { ...(source.beside ?? NOTHING_BESIDE), sociIndex } };
}

/** The words that name these blobs. */
export function wordsOf(blobs: readonly BlobRef[]): string[] {
  return blobs.map(describeRef);
}

/** For messages, logs and status. */
export function describeBlobs(blobs: readonly BlobRef[]): string {
  return wordsOf(blobs).join(' ');
}

export function areSameBlobs(a: readonly BlobRef[], b: readonly BlobRef[]): boolean {
  return a.length === b.length && a.every((ref, i) => keyOfRef(ref) === keyOfRef(b[i] as BlobRef));
}
