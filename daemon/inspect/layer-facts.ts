// What `inspect` knows about one layer: plain values, gathered from an opened layer. The names are
// the keys of its JSON (docs/json-output.md), so they stay. Prints nothing.

import { describeRef } from '../blob/blob-ref.js';
import { TAR_BLOCK } from '../blob/tar.js';
import type { LayerContent } from '../image/formats/format.js';
import type { OpenedTarget } from '../image/plan/target.js';
import { LSMT_FLAG, SECTOR, type LsmtHeader } from '../lsmt/format.js';
import type { LsmtIndex } from '../lsmt/merged-index.js';
import type { EntryCounts, LayerKind } from '../lsmt/layer.js';
import { lookupOf } from '../pieces/piece-lookup.js';
import type { OpenZfile } from '../zfile/open.js';
import { treeFacts, type TreeFacts } from './tree-facts.js';
import type { InspectedLayer } from './open-for-inspection.js';

export interface TarFacts {
  readonly format: 'pax' | 'ustar';
  readonly payloadOffset: number;
  readonly payloadBytes: number;
}

export interface ZfileFacts {
  /** Which of the two pages counts. */
  readonly mode: 'header' | 'trailer';
  readonly algorithm: string;
  readonly blockSize: number;
  /** Whether each block has a checksum. */
  readonly verify: boolean;
  /** Whether the header has one; only then is the jump table's checked. */
  readonly digest: boolean;
  readonly originalBytes: number;
  readonly blocks: number;
  readonly storedBytes: number;
  /** Stored by original bytes; null for an empty file. */
  readonly ratio: number | null;
}

/** A header, trailer or index header as it stands in the file. */
export interface PageFacts {
  readonly flags: readonly string[];
  readonly version: string;
  /** What no number holds exactly is a string. */
  readonly indexOffset: number | string;
  /** Entries, padding included. */
  readonly indexSize: number | string;
  readonly virtualSize: number | string;
  readonly uuid: string;
  readonly parentUuid: string;
  readonly userTag: string;
}

/** `parent` of a layer: whether it names the layer below it. No reader of images checks it. */
export type ParentLink = 'layer below' | 'another' | 'none';

export interface LsmtFacts {
  readonly kind: LayerKind | 'append-only upper, data file' | 'append-only upper, index file';
  readonly header: PageFacts;
  readonly trailer: PageFacts | null;
  readonly indexHeader: PageFacts | null;
  /** Null where the file alone does not tell. */
  readonly index: IndexFacts | null;
  /** These four are the ones that count: from the trailer, or an upper's index header. */
  readonly virtualSize: number;
  readonly uuid: string;
  readonly parentUuid: string;
  readonly userTag: string;
  readonly parent: ParentLink;
}

export interface IndexFacts {
  readonly entries: number;
  readonly paddingEntries: number;
  /** Segments after joining neighbours. */
  readonly dataSegments: number;
  readonly zeroedSegments: number;
  readonly mappedBytes: number;
  readonly zeroedBytes: number;
}

export interface LayerFacts {
  readonly path: string;
  readonly indexPath: string | null;
  readonly role: 'lower' | 'upper';
  readonly content: 'lsmt' | 'raw' | 'files';
  /** What is on a raw disk: "EROFS, blocks of 4096 bytes; Linux 5.4 and later". Null if that is not known. */
  readonly disk: string | null;
  readonly fileBytes: number;
  readonly tar: TarFacts | null;
  readonly zfile: ZfileFacts | null;
  readonly lsmt: LsmtFacts | null;
  readonly tree: TreeFacts | null;
  readonly turbo: TurboFacts | null;
}

/** The layer is one of turboOCI: its index maps ranges of another one, too. */
export interface TurboFacts {
  readonly target: string;
  readonly targetBytes: number;
  /** From where the target is inflated; null: it is plain. */
  readonly gzipIndex: string | null;
  readonly plainBytes: number;
  /** Spans that are inflated one by one. */
  readonly spans: number | null;
}

/** @param below the facts of the layer that this one lies on */
export function layerFacts(opened: InspectedLayer, below: LayerFacts | undefined): LayerFacts {
  const { ref, indexRef, role, blobs, inner, content, target } = opened;
  const { tar, zfile } = inner;
  return {
    path: describeRef(ref),
    indexPath: indexRef && describeRef(indexRef),
    role,
    content: contentName(content.kind),
    disk: content.kind === 'raw' ? content.about : null,
    fileBytes: blobs.reduce((sum, { size }) => sum + size, 0),
    tar: tar
      ? {
          format: tar.offset > TAR_BLOCK ? 'pax' : 'ustar',
          payloadOffset: tar.offset,
          payloadBytes: tar.size,
        }
      : null,
    zfile: zfile && zfileFacts(zfile),
    lsmt: lsmtFacts(opened, below),
    tree: content.kind === 'tree' ? treeFacts(content.format, content.tree) : null,
    turbo: target && turboFacts(target),
  };
}

function turboFacts({ blob, indexBlob, around, source }: OpenedTarget): TurboFacts {
  return {
    target: describeRef(blob.ref),
    targetBytes: blob.size,
    gzipIndex: indexBlob && describeRef(indexBlob.ref),
    plainBytes: source.size,
    spans: around && lookupOf(around.table).members,
  };
}

function contentName(kind: LayerContent['kind']): LayerFacts['content'] {
  if (kind === 'tree') return 'files';
  return kind === 'raw' ? 'raw' : 'lsmt';
}

function zfileFacts({ header, mode, hasDigest, spec, storedBytes }: OpenZfile): ZfileFacts {
  return {
    mode,
    algorithm: spec.algorithm,
    blockSize: header.blockSize,
    verify: header.verify,
    digest: hasDigest,
    originalBytes: header.originalSize,
    blocks: spec.table.count,
    storedBytes,
    ratio: header.originalSize > 0 ? storedBytes / header.originalSize : null,
  };
}

function lsmtFacts(
  { content, own }: InspectedLayer,
  below: LayerFacts | undefined,
): LsmtFacts | null {
  if (content.kind === 'half upper') {
    const page = pageFacts(content.header);
    return {
      kind: `append-only upper, ${content.part} file`,
      header: page,
      trailer: null,
      indexHeader: null,
      index: null,
      ...deciding(content.header, below),
    };
  }
  if (content.kind !== 'lsmt') return null;
  const { header, layer } = content;
  const page = pageFacts(layer.header);
  return {
    kind: layer.kind,
    header: pageFacts(header),
    trailer: layer.kind === 'sealed' ? page : null,
    indexHeader: layer.kind === 'append-only upper' ? page : null,
    index: own && indexFacts(own.index, own.counts),
    ...deciding(layer.header, below),
  };
}

function deciding(
  header: LsmtHeader,
  below: LayerFacts | undefined,
): Pick<LsmtFacts, 'virtualSize' | 'uuid' | 'parentUuid' | 'userTag' | 'parent'> {
  const { virtualSize, uuid, parentUuid, userTag } = header;
  const linked = parentUuid.toLowerCase() === below?.lsmt?.uuid.toLowerCase();
  const parent = isNil(parentUuid) ? 'none' : linked ? 'layer below' : 'another';
  return { virtualSize, uuid, parentUuid, userTag, parent };
}

function isNil(uuid: string): boolean {
  return /^[0-]*$/.test(uuid);
}

function pageFacts(header: LsmtHeader): PageFacts {
  const { version, exact, uuid, parentUuid, userTag } = header;
  const [indexOffset, indexSize, virtualSize] = [
    numberOf(exact.indexOffset),
    numberOf(exact.indexSize),
    numberOf(exact.virtualSize),
  ];
  const flags = flagNames(header.flags);
  return { flags, version, indexOffset, indexSize, virtualSize, uuid, parentUuid, userTag };
}

/** JSON has no larger ones that every reader takes for the same. */
function numberOf(value: bigint): number | string {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : `${value}`;
}

/** Known bits by name, others by number: they mean nothing to readers, but are there. */
function flagNames(flags: number): string[] {
  const names = new Map<number, string>(
    Object.entries(LSMT_FLAG).map(([name, bit]) => [bit, name]),
  );
  const set: string[] = [];
  for (let bit = 0; bit < 32; bit++) {
    if (((flags >>> bit) & 1) === 1) set.push(names.get(2 ** bit) ?? `bit${bit}`);
  }
  return set;
}

function indexFacts(index: LsmtIndex, counts: EntryCounts): IndexFacts {
  let zeroedSegments = 0;
  let mapped = 0;
  let zeroed = 0;
  for (let i = 0; i < index.count; i++) {
    const length = index.lengthOf(i);
    if (index.isZeroed(i)) {
      zeroedSegments++;
      zeroed += length;
    } else {
      mapped += length;
    }
  }
  return {
    ...counts,
    dataSegments: index.count - zeroedSegments,
    zeroedSegments,
    mappedBytes: mapped * SECTOR,
    zeroedBytes: zeroed * SECTOR,
  };
}
