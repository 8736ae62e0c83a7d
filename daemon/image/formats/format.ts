// What a format of blobs is: a wrapper, which has one blob inside, or a content, which may be inside all wrappers. The table of
// all formats is formats.ts.

import type { RecordKey } from '../../cache/record-files.js';
import type { BlobSource } from '../../blob/source.js';
import type { TarPayload } from '../../blob/tar.js';
import type { ProblemSink } from '../../errors.js';
import type { Effort } from '../../lib/effort.js';
import type { LsmtHeader } from '../../lsmt/format.js';
import type { LsmtLayer } from '../../lsmt/layer.js';
import type { LsmtTarget } from '../../lsmt/target.js';
import type { LayerDigests } from '../../registry/manifest-source.js';
import type { RecordsPlace } from '../../registry/remote.js';
import type { TocDigests } from '../../registry/toc-annotations.js';
import type { ZtocSource } from '../../soci/open.js';
import type { NeededDevice } from '../../erofs/devices/open.js';
import type { PiecesSpec } from '../../pieces/pieces-source.js';
import type { LayerTree } from '../../tree/layer-tree.js';
import type { OpenZfile } from '../../zfile/open.js';
import type { ReaderFactory } from '../disks/reader-factory.js';
import type { AroundSpec, SourceSpec } from '../disks/spec.js';

/** A blob, or what is in it, as far as its wrappers are removed. */
export interface Unwrapped {
  /** How to make the source in any thread. */
  readonly spec: SourceSpec;
  /** For this thread, while the image is opened: the edges of the blob are in memory. */
  readonly source: BlobSource;
  readonly tar: TarPayload | null;
  readonly zfile: OpenZfile | null;
}

/** A blob that contents of a layer are in. */
export interface LayerNeed {
  /** Its name, if it is another blob. */
  readonly id: string;
  /** Whether it is the layer itself. */
  readonly isLayer: boolean;
  /** Of an EROFS image: a further device, which --blobs may name in other ways. */
  readonly device?: NeededDevice;
  /** Its size in bytes, as the image says, if it is an ordinary layer, which the manifest does not have. */
  readonly ordinarySize?: number;
  /** Names of a blob that says more about it: the first that exists is needed. Absent or none: nothing is needed. */
  readonly infoNames?: readonly string[];
  /**
   * How its plain bytes are read; null: they are the blob's.
   * @param name of the blob, for messages
   * @param size its bytes
   * @param info the blob that says more of it; null or absent: none is needed
   * @throws OverlaybdError if it cannot have the contents
   */
  readonly pieces: (
    name: string,
    size: number,
    effort: Effort,
    info?: BlobSource | null,
  ) => PiecesSpec | null | Promise<PiecesSpec>;
}

/** What a layer turned out to be. `header` is the page at the start of the blob. */
export type LayerContent =
  | { readonly kind: 'lsmt'; readonly header: LsmtHeader; readonly layer: LsmtLayer }
  /** One of the two files of an append-only upper without the other. */
  | { readonly kind: 'half upper'; readonly header: LsmtHeader; readonly part: 'data' | 'index' }
  /**
   * Files and directories. Content source 0 is a source around what is inside the wrappers; null: it is that itself.
   */
  | {
      readonly kind: 'tree';
      /**
       * For people: what it was taken for, and why: "eStargz, by a footer of 51 bytes; table of contents sha256:...". What follows a
       * semicolon is of this layer alone.
       */
      readonly format: string;
      readonly tree: LayerTree;
      readonly around: AroundSpec | null;
      /** The path of a decoded copy of the layer, which `around` is around; absent: it is around the layer. */
      readonly copy?: string;
      /** The blobs that its contents are in instead, one for each content source. */
      readonly needs?: readonly LayerNeed[];
      /** It is made for an overlayfs on top: if it is the only layer, its whiteouts are shown. */
      readonly isForOverlay?: true;
      /** Bytes of its blob, if all of it had to be read now, as no record of it could be used. */
      readonly readWhole?: number;
      /** For people. */
      readonly notes: readonly string[];
    }
  /**
   * `doubts` are sentences: reasons why it may be something else. `about` is one line: what is on the disk; null: that is not
   * known.
   */
  | { readonly kind: 'raw'; readonly doubts: readonly string[]; readonly about: string | null };

export interface OpenTools {
  readonly readers: ReaderFactory;
  readonly effort: Effort;
  /** Gets broken rules that do not end the opening. */
  readonly sink: ProblemSink;
  /** Where the records of layers are that were read as a whole; null or absent: they are read again. */
  readonly records?: RecordsPlace | null;
}

export interface ContentRules {
  /** The blob with its wrappers. */
  readonly blob: SourceSpec;
  /** Whether a blob that is not a layer may be a raw disk image: only if it was named alone. */
  readonly mayBeRaw: boolean;
  /** Whether a file of an upper may be opened alone: it can be looked at, and not served. */
  readonly mayBeUpper: boolean;
  /** The digests that its table of contents must have, if its format has one; null: nothing says them. */
  readonly toc: TocDigests | null;
  /**
   * Whether it is opened by a table of contents or an index only if that is verified: it comes from a registry or a layout. If
   * nothing verifies it, it is read as the archive that it also is.
   */
  readonly needsToc: boolean;
  /** The blob with the table of contents, if it is not in the layer. */
  readonly tocSource: BlobSource | null;
  /**
   * Opens the blob with the table of contents, if the layer does not have it; absent: nothing says where it is.
   * @throws OverlaybdError if there is none, and what opening it throws
   */
  readonly findToc?: () => Promise<BlobSource>;
  /** The path of the folder with the objects of a composefs image; null: nothing names it. */
  readonly objects: string | null;
  /** The path of the folder with the data blobs of a Nydus image; null: nothing names it. */
  readonly dataBlobs: string | null;
  /** What a SOCI index or the command line names as its ztoc; null: it has none. */
  readonly ztoc: ZtocSource | null;
  /** The plain bytes of the target of a turboOCI layer; null: it is another one. */
  readonly target: LsmtTarget | null;
  /** What its bytes must be if it is read as a whole; null: nothing says it. */
  readonly digests: LayerDigests | null;
  /**
   * Names its record if it is read as a whole; null: none is kept. Absent: the same.
   * @param ofSmall whether a small file has one, too
   */
  readonly recordKey?: (ofSmall: boolean) => Promise<RecordKey | null>;
  /**
   * Reads the wrappers again, after all bytes of the layer have been compared with its digest.
   * @throws OverlaybdError as removing the wrappers does
   */
  readonly reopen: () => Promise<Unwrapped>;
  /**
   * Whether a blob of a registry still is of the format that it was opened as, now that all of its bytes have been compared with its
   * digest. Absent: the same as true.
   * @throws OverlaybdError as removing the wrappers does
   */
  readonly isStill?: () => Promise<boolean>;
  /** The digest of the layer, if its manifest says that it has the bootstrap of a Nydus image in it. */
  readonly bootstrapDigest: string | null;
}

/** A format that contains one blob. */
export interface Wrapper {
  readonly kind: 'wrapper';
  readonly name: string;
  /** @param head the first bytes that all formats look at, or all */
  probe(head: Buffer): boolean;
  /** @throws OverlaybdError for what leaves nothing inside, and what `tools` throw */
  open(outer: Unwrapped, head: Buffer, tools: OpenTools): Promise<Unwrapped>;
}

/** A format that may be inside all wrappers. */
export interface Content {
  readonly kind: 'content';
  readonly name: string;
  /** @throws OverlaybdError if it cannot be opened, or may not be there by the rules */
  open(
    inner: Unwrapped,
    head: Buffer,
    rules: ContentRules,
    tools: OpenTools,
  ): Promise<LayerContent>;
}
