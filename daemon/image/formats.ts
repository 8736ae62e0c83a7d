// The one table of formats: the wrappers that a blob may have, and the contents that may be inside. Serve,
// inspect and verify open and refuse blobs through it, so a new format is a new entry.

import {
  findTarPayload,
  isNamedAsLayer,
  isTarHeader,
  payloadStart,
  TAR_HEAD_SIZE,
} from '../blob/tar.js';
import { SliceSource } from '../blob/slice-source.js';
import { readFully, type BlobSource } from '../blob/source.js';
import { OverlaybdError } from '../errors.js';
import { hasDevices } from '../erofs/devices/open.js';
import { checkRawErofs } from '../erofs/reader/raw-image.js';
import { isComposefs, openComposefs } from '../composefs/open.js';
import { counted } from '../lib/counted.js';
import type { Effort } from '../lib/effort.js';
import {
  LSMT_FLAG,
  LSMT_HEADER_SIZE,
  isLsmtHeader,
  parseLsmtHeader,
  type LsmtHeader,
} from '../lsmt/format.js';
import { isUnsealed, openSealed } from '../lsmt/open-sealed.js';
import { openSparse } from '../lsmt/open-upper.js';
import {
  MAX_CHUNKED_FOOTER_SIZE,
  parseChunkedFooter,
  type ChunkedFooter,
} from '../estargz/chunked-footer.js';
import { MAX_FOOTER_SIZE, parseFooter, type EstargzFooter } from '../estargz/footer.js';
import { openChunked, openEstargz, type OpenedToc } from '../estargz/open.js';
import { hasBootstrap } from '../rafs/layer.js';
import { looksLikeRafs, looksLikeRafsV5 } from '../rafs/superblock.js';
import { hasRafsToc, TOC_TAIL_SIZE } from '../rafs/toc.js';
import { looksLikeTar } from '../tarball/header.js';
import { openZtoc, type ZtocSource } from '../soci/open.js';
import { isTurboArchive } from '../turbo/layer-archive.js';
import { isZfileHeader } from '../zfile/format.js';
import { openZfile } from '../zfile/open.js';
import { inflatedHead, isArchiveBegin, isEmptyArchive, isGzip, isZstd } from './archives.js';
import type {
  Content,
  ContentRules,
  LayerContent,
  OpenTools,
  Unwrapped,
  Wrapper,
} from './format.js';
import { openRafs, openRafsBlob, openRafsLayer, refuseRafsV5 } from './rafs-layers.js';
import { openErofsLayer } from './erofs-layer.js';
import { rawDiskDoubts } from './raw-disk-checks.js';
import { isOfPieces, sliceOf } from './spec.js';
import { openTurboLayer } from './turbo-layer.js';
import { refuseUnused } from './unused-options.js';
import { openWholeLayer } from './whole-layers.js';

/** What formats look at to recognize a blob: this many of its first bytes. */
const PROBE_SIZE = Math.max(LSMT_HEADER_SIZE, TAR_HEAD_SIZE);
/** And of its last. */
const TAIL_SIZE = Math.max(MAX_FOOTER_SIZE, MAX_CHUNKED_FOOTER_SIZE, TOC_TAIL_SIZE);

export type { ContentRules, LayerContent, OpenTools, Unwrapped } from './format.js';

const tar: Wrapper = {
  kind: 'wrapper',
  name: 'tar',
  // Any other tar is a layer of files.
  probe: (head) => isTarHeader(head) && (isNamedAsLayer(head) || isOverlaybd(firstFile(head))),
  open: (outer, head) => {
    const { name, size: outerSize } = outer.source;
    const payload = findTarPayload(head, name, outerSize);
    const { offset, size } = payload;
    const inner = `${name} (in tar)`;
    return Promise.resolve({
      ...outer,
      spec: sliceOf(outer.spec, offset, size, inner),
      source: new SliceSource({ kind: 'slice', name: inner, offset, size }, outer.source),
      tar: payload,
    });
  },
};

/** What the first file of a tar begins with. */
function firstFile(head: Buffer): Buffer {
  return head.subarray(payloadStart(head));
}

function isOverlaybd(head: Buffer): boolean {
  return isZfileHeader(head) || isLsmtHeader(head);
}

/** The archive of a turboOCI layer, as registries have it. */
const turbo: Wrapper = {
  kind: 'wrapper',
  name: 'turboOCI',
  probe: (head) => isGzip(head) && isTurboArchive(inflatedHead(head)),
  open: async (outer, _head, tools) => ({
    ...outer,
    ...(await openTurboLayer(outer, tools)).metadata,
  }),
};

const zfile: Wrapper = {
  kind: 'wrapper',
  name: 'zfile',
  probe: isZfileHeader,
  open: async (outer, head, { readers, effort, sink }) => {
    const opened = await openZfile(outer.source, head, { effort, sink });
    return {
      ...outer,
      spec: { kind: 'zfile', zfile: opened.spec, of: outer.spec },
      source: readers.zfile(opened.spec, outer.source),
      zfile: opened,
    };
  },
};

const lsmt: Content = {
  kind: 'content',
  name: 'lsmt',
  probe: (head) => head.length >= LSMT_HEADER_SIZE && isLsmtHeader(head),
  open: async (
    { spec, source, tar: inTar, zfile: inZfile },
    head,
    { mayBeUpper, target },
    { effort },
  ) => {
    if (!target && isOfPieces(spec)) {
      const message = `${source.name}: a turboOCI layer: most of what it has is in another layer, and nothing says which`;
      throw new OverlaybdError('UNSUPPORTED', message);
    }
    const header = parseLsmtHeader(head);
    // Uppers have no wrappers.
    if (mayBeUpper && !target && !inTar && !inZfile && (await isUnsealed(source, header))) {
      return loneUpper(source, header, effort);
    }
    return { kind: 'lsmt', header, layer: await openSealed(source, head, target) };
  },
};

/** A layer of files, in gzip or not, with a ztoc beside it: whatever else the blob may be. */
const soci: Content = {
  kind: 'content',
  name: 'soci',
  // Nothing in the blob says it.
  probe: () => false,
  open: async ({ source }, _head, { ztoc }, { effort }) => {
    const { tree, pieces, format, notes } = await openZtoc(source, ztoc as ZtocSource, effort);
    return { kind: 'tree', format, tree, around: pieces, notes };
  },
};

/** eStargz and stargz: gzip members, and a footer that says where the table of contents is. */
const estargz: Content = {
  kind: 'content',
  name: 'estargz',
  probe: (head, tail, { name, size }) => isGzip(head) && parseFooter(tail, name, size) !== null,
  open: async ({ source }, _, rules, { effort }) => {
    checkToc(rules, rules.toc?.json ?? null, source.name);
    const footer = parseFooter(await tailOf(source), source.name, source.size) as EstargzFooter;
    const opened = await openEstargz(source, footer, {
      toc: rules.toc,
      tocSource: rules.tocSource,
      effort,
    });
    return treeContent(footer.kind, `a footer of ${footer.size} bytes`, opened);
  },
};

/** zstd:chunked: zstd frames, and a footer that says where the manifest is. */
const chunked: Content = {
  kind: 'content',
  name: 'zstd:chunked',
  probe: (head, tail, { name, size }) =>
    isZstd(head) && parseChunkedFooter(tail, name, size) !== null,
  open: async ({ source }, _, rules, { effort, readers }) => {
    checkToc(rules, rules.toc?.manifest ?? rules.toc?.json ?? null, source.name);
    const { name, size } = source;
    const footer = parseChunkedFooter(await tailOf(source), name, size) as ChunkedFooter;
    const opened = await openChunked(source, footer, readers.zstdDecoders(), {
      toc: rules.toc,
      tocSource: null,
      effort,
    });
    return treeContent('zstd:chunked', 'a footer with its magic', opened);
  },
};

/** @throws OverlaybdError UNSUPPORTED if nothing verifies the table of contents, and something must */
function checkToc({ needsToc }: ContentRules, digest: string | null, blob: string): void {
  if (digest !== null || !needsToc) return;
  const what = 'a table of contents whose digest the manifest does not have';
  throw new OverlaybdError(
    'UNSUPPORTED',
    `${blob}: ${what}, so that nothing in it can be verified; --insecure-toc opens it`,
  );
}

/** @param why a reason to take it for this format */
function treeContent(format: string, why: string, opened: OpenedToc): LayerContent {
  const { tree, pieces, digest, notes } = opened;
  return {
    kind: 'tree',
    format: `${format}, by ${why}; table of contents ${digest}`,
    tree,
    around: pieces,
    notes,
  };
}

/** An EROFS image whose files are objects of a store. */
const composefs: Content = {
  kind: 'content',
  name: 'composefs',
  probe: isComposefs,
  open: async ({ source }, _, rules, { effort }) => {
    const { tree, objects, objectCount, notes } = await openComposefs(
      source,
      rules.objects,
      effort,
    );
    const format = `composefs, by the magic in its first word; ${counted(objectCount, 'object')}`;
    return { kind: 'tree', format, tree, around: objects, notes };
  },
};

/** A bootstrap of RAFS: the tree of a whole Nydus image, whose contents are in other blobs. */
const rafs: Content = {
  kind: 'content',
  name: 'rafs',
  probe: looksLikeRafs,
  open: ({ source }, _head, _rules, tools) => openRafs(source, tools),
};

const rafsV5: Content = {
  kind: 'content',
  name: 'rafs v5',
  probe: looksLikeRafsV5,
  open: ({ source }) => refuseRafsV5(source.name),
};

/** A data blob of RAFS, which may have the bootstrap in it, too. */
const rafsBlob: Content = {
  kind: 'content',
  name: 'rafs blob',
  probe: (_, tail) => hasRafsToc(tail),
  open: ({ source }, _head, _rules, tools) => openRafsBlob(source, tools),
};

/** An archive with a bootstrap in it: the first layer of a Nydus image. */
const rafsLayer: Content = {
  kind: 'content',
  name: 'rafs layer',
  probe: (head) => hasBootstrap(isGzip(head) ? inflatedHead(head) : head),
  open: ({ source }, _head, { bootstrapDigest }, tools) =>
    openRafsLayer(source, bootstrapDigest, tools),
};

/** An EROFS image whose files have contents on further devices. */
const erofsDevices: Content = {
  kind: 'content',
  name: 'erofs with devices',
  probe: (head, _tail, { name }) => hasDevices(head, name),
  open: async (inner, head, rules, tools) =>
    (await openErofsLayer(inner.source, head, rules, tools)) ?? raw.open(inner, head, rules, tools),
};

/** An archive of files: a layer of an ordinary image. */
const files: Content = {
  kind: 'content',
  name: 'files',
  probe: (head, _tail, { size }) => looksLikeTar(head) || isEmptyArchive(head, size),
  open: (inner, _head, rules, tools) => openWholeLayer('tar', inner, rules, tools),
};

/** The same, compressed with gzip. */
const gzippedFiles: Content = {
  kind: 'content',
  name: 'gzipped files',
  probe: (head) => isGzip(head) && isArchiveBegin(inflatedHead(head)),
  open: (inner, _head, rules, tools) => openWholeLayer('tar.gz', inner, rules, tools),
};

/** The same, compressed with zstd. */
const zstdFiles: Content = {
  kind: 'content',
  name: 'files in zstd',
  probe: isZstd,
  open: (inner, _head, rules, tools) => openWholeLayer('tar.zst', inner, rules, tools),
};

/** Any blob that is in no other format. */
const raw: Content = {
  kind: 'content',
  name: 'raw',
  probe: () => true,
  open: async ({ source }, head, { mayBeRaw }) => {
    if (!mayBeRaw) {
      throw new OverlaybdError(
        'BAD_FORMAT',
        `${source.name}: neither an LSMT layer nor an archive of files: no such header`,
      );
    }
    if (source.size === 0) throw new OverlaybdError('BAD_FORMAT', `${source.name}: empty`);
    const { about, doubts } = await checkRawErofs(source, head);
    return { kind: 'raw', doubts: [...rawDiskDoubts(head, source.size), ...doubts], about };
  },
};

/**
 * All formats, outermost first: a blob goes through this table once, from the top to the bottom. So each
 * wrapper is removed at most once, and only in this order; the first content that fits is what it is.
 */
const FORMATS: readonly (Wrapper | Content)[] = [
  turbo,
  tar,
  zfile,
  lsmt,
  composefs,
  rafs,
  rafsV5,
  rafsBlob,
  erofsDevices,
  estargz,
  chunked,
  rafsLayer,
  files,
  gzippedFiles,
  zstdFiles,
  raw,
];

/** Removes the wrappers of a blob. @throws OverlaybdError if a wrapper is broken; what `tools` throw */
export async function unwrap(blob: Unwrapped, tools: OpenTools): Promise<Unwrapped> {
  let inner = blob;
  for (const format of FORMATS.filter((each) => each.kind === 'wrapper')) {
    const head = await headOf(inner.source);
    if (format.probe(head)) inner = await format.open(inner, head, tools);
  }
  return inner;
}

/** Opens what is inside the wrappers. @throws OverlaybdError if that is not possible */
export async function openContent(
  inner: Unwrapped,
  rules: ContentRules,
  tools: OpenTools,
): Promise<LayerContent> {
  const head = await headOf(inner.source);
  const contents = FORMATS.filter((each) => each.kind === 'content');
  const tail = await tailOf(inner.source);
  const named = rules.ztoc ? soci : rules.bootstrapDigest !== null ? rafsLayer : null;
  const format = named ?? contents.find((each) => each.probe(head, tail, inner.source)) ?? raw;
  if (rules.target && format !== lsmt) {
    const message = `${inner.source.name}: the index of a turboOCI layer: not an LSMT layer: no such header`;
    throw new OverlaybdError('BAD_FORMAT', message);
  }
  if (isOfPieces(inner.spec) && format !== lsmt && format !== raw) {
    const message = `${inner.source.name}: ${format.name} in the archive of a turboOCI layer, where an LSMT layer is expected`;
    throw new OverlaybdError('UNSUPPORTED', message);
  }
  const content = await format.open(inner, head, rules, tools);
  refuseUnused(format.name, rules, inner.source.name);
  return content;
}

/** Comes from memory, if the bytes are in the edges of the blob. */
function headOf(source: BlobSource): Promise<Buffer> {
  return readFully(source, 0, Math.min(source.size, PROBE_SIZE));
}

/** Likewise. */
function tailOf(source: BlobSource): Promise<Buffer> {
  const size = Math.min(source.size, TAIL_SIZE);
  return readFully(source, source.size - size, size);
}

async function loneUpper(
  source: BlobSource,
  header: LsmtHeader,
  effort: Effort,
): Promise<LayerContent> {
  if ((header.flags & LSMT_FLAG.sparse) === 0) {
    const part = (header.flags & LSMT_FLAG.dataFile) === 0 ? 'index' : 'data';
    return { kind: 'half upper', header, part };
  }
  return { kind: 'lsmt', header, layer: await openSparse(source, header, effort) };
}
