// The formats of layers of files: archives, and what makes them lazy. Loaded with the first blob that may be in one of
// them (formats.ts): most daemons serve none.

import type { BlobSource } from '../../blob/source.js';
import { TAR_BLOCK } from '../../blob/tar.js';
import { OverlaybdError } from '../../errors.js';
import { hasDevices } from '../../erofs/devices/open.js';
import { isComposefs, openComposefs } from '../../composefs/open.js';
import { counted } from '../../lib/counted.js';
import { parseChunkedFooter, type ChunkedFooter } from '../../estargz/chunked-footer.js';
import { parseFooter, type EstargzFooter } from '../../estargz/footer.js';
import { openChunked, openEstargz, type OpenedToc } from '../../estargz/open.js';
import { hasBootstrap } from '../../rafs/layer.js';
import { hasRafsToc, looksLikeRafsV5 } from '../../rafs/signs.js';
import { looksLikeRafs, refuseRafsV5 } from '../../rafs/superblock.js';
import { areZeros } from '../../lib/bytes.js';
import { looksLikeTar } from '../../tarball/header.js';
import { openTarfs } from '../../tarfs/open.js';
import { hasTarfsIndex, mayBeEmptyTarfs } from '../../tarfs/signs.js';
import { openZtoc, type ZtocSource } from '../../soci/open.js';
import { isTurboArchive } from '../../turbo/layer-archive.js';
import { isEmptyArchive, isGzip, isZstd } from './archives.js';
import { openErofsLayer } from './erofs-layer.js';
import type { Content, ContentRules, LayerContent, Wrapper } from './format.js';
import { inflatedHead } from './gzip-head.js';
import { raw } from './raw-content.js';
import { openRafs, openRafsBlob, openRafsLayer } from './rafs-layers.js';
import { openTurboLayer } from './turbo-layer.js';
import { openWholeLayer } from './whole-layers.js';

/**
 * Recognizes a format.
 * @param head the first bytes that all formats look at, or all
 * @param tail the last bytes that all formats look at, or all
 * @returns how the blob is opened; null: it is not this format
 * @throws OverlaybdError if it is this format, and broken
 */
type Recognizer = (head: Buffer, tail: Buffer, source: BlobSource) => Content | null;

type TreeContent = Extract<LayerContent, { kind: 'tree' }>;

/** The archive of a turboOCI layer, as registries have it. */
export const turbo: Wrapper = {
  kind: 'wrapper',
  name: 'turboOCI',
  probe: (head) => isGzip(head) && isTurboArchive(inflatedHead(head)),
  open: async (outer, _head, tools) => ({
    ...outer,
    ...(await openTurboLayer(outer, tools)).metadata,
  }),
};

/** A layer of files, in gzip or not, with a ztoc beside it, even if the blob looks like another format. */
const soci: Content = {
  kind: 'content',
  name: 'soci',
  open: async ({ source }, _head, { ztoc }, { effort }) => {
    const { tree, pieces, format, notes } = await openZtoc(source, ztoc as ZtocSource, effort);
    return { kind: 'tree', format, tree, around: pieces, notes };
  },
};

/** eStargz and stargz: gzip members, and a footer that says where the table of contents is. */
const estargz: Recognizer = (head, tail, { name, size }) => {
  const footer = isGzip(head) ? parseFooter(tail, name, size) : null;
  return footer && estargzBy(footer);
};

const estargzBy = (footer: EstargzFooter): Content => ({
  kind: 'content',
  name: 'estargz',
  open: async ({ source }, _, rules, { effort }) => {
    checkToc(rules, rules.toc?.json ?? null, source.name);
    const isElsewhere = footer.tocOffset === null && rules.tocSource === null;
    const tocSource = isElsewhere && rules.findToc ? await rules.findToc() : rules.tocSource;
    const opened = await openEstargz(source, footer, { toc: rules.toc, tocSource, effort });
    return treeContent(footer.kind, `a footer of ${footer.size} bytes`, opened);
  },
});

/** zstd:chunked: zstd frames, and a footer that says where the manifest is. */
const chunked: Recognizer = (head, tail, { name, size }) => {
  const footer = isZstd(head) ? parseChunkedFooter(tail, name, size) : null;
  return footer && chunkedBy(footer);
};

const chunkedBy = (footer: ChunkedFooter): Content => ({
  kind: 'content',
  name: 'zstd:chunked',
  open: async ({ source }, _, rules, { effort, readers }) => {
    checkToc(rules, rules.toc?.manifest ?? rules.toc?.json ?? null, source.name);
    const opened = await openChunked(source, footer, readers.zstdDecoders(), {
      toc: rules.toc,
      tocSource: null,
      effort,
    });
    return treeContent('zstd:chunked', 'a footer with its magic', opened);
  },
});

/** @throws OverlaybdError UNSUPPORTED if nothing verifies the table of contents, and something must */
function checkToc({ needsToc }: ContentRules, digest: string | null, blob: string): void {
  if (digest !== null || !needsToc) return;
  const what = 'the manifest has no digest of the table of contents';
  throw new OverlaybdError(
    'UNSUPPORTED',
    `${blob}: ${what}, so it cannot be verified; use --insecure-toc to open it anyway`,
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

/** @param why a reason to take it for its format */
function because(content: TreeContent, why: string): TreeContent {
  return { ...content, format: `${content.format}, ${why}` };
}

/** An EROFS image whose files are objects of a store. */
const composefs: Content = {
  kind: 'content',
  name: 'composefs',
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
  open: ({ source }, _head, _rules, tools) => openRafs(source, tools),
};

const rafsV5: Content = {
  kind: 'content',
  name: 'rafs v5',
  open: ({ source }) => refuseRafsV5(source.name),
};

/** A data blob of RAFS, which may have the bootstrap in it, too. */
const rafsBlob: Content = {
  kind: 'content',
  name: 'rafs blob',
  open: ({ source }, _head, _rules, tools) => openRafsBlob(source, tools),
};

/** An archive with a bootstrap in it: the first layer of a Nydus image. */
const rafsLayer: Content = {
  kind: 'content',
  name: 'rafs layer',
  open: ({ source }, _head, { bootstrapDigest }, tools) =>
    openRafsLayer(source, bootstrapDigest, tools),
};

/** An EROFS image whose files have contents on further devices. */
const erofsDevices: Content = {
  kind: 'content',
  name: 'erofs with devices',
  open: async (inner, head, rules, tools) =>
    (await openErofsLayer(inner.source, head, rules, tools)) ?? raw.open(inner, head, rules, tools),
};

/** An archive that ends with an index of tarfs: a layer for an overlayfs. */
const indexedFiles: Content = {
  kind: 'content',
  name: 'tarfs',
  open: async ({ source }, _head, _rules, { effort }) => {
    const opened = await openTarfs(source, effort);
    const content = { kind: 'tree', ...opened, around: null, isForOverlay: true } as const;
    return because(content, 'by the superblock in its last block');
  },
};

/** An archive of files: a layer of an ordinary image. */
export const files: Content = {
  kind: 'content',
  name: 'files',
  open: async (inner, head, rules, tools) => {
    const ofZeros = head.length === 0 ? 'without bytes' : 'by zeros, as an empty archive has';
    const why = areZeros(head) ? ofZeros : 'by its first header';
    return because(await openWholeLayer('tar', inner, rules, tools), why);
  },
};

/** The same, compressed with gzip. No disk begins so: what cannot be inflated is a damaged layer. */
const gzippedFiles: Content = {
  kind: 'content',
  name: 'gzipped files',
  open: async (inner, head, rules, tools) => {
    const begin = inflatedHead(head);
    const isKnown = begin.length >= TAR_BLOCK;
    if (isKnown && !looksLikeTar(begin) && !areZeros(begin)) {
      const { name } = inner.source;
      const message = `${name}: it begins as a gzip file does, and has no archive of files inside: unpack or convert it first`;
      throw new OverlaybdError('BAD_FORMAT', message);
    }
    return because(await openWholeLayer('tar.gz', inner, rules, tools), 'by the magic of gzip');
  },
};

/** The same, compressed with zstd. */
const zstdFiles: Content = {
  kind: 'content',
  name: 'files in zstd',
  open: async (inner, _head, rules, tools) =>
    because(
      await openWholeLayer('tar.zst', inner, rules, tools),
      'by the magic of its first zstd frame',
    ),
};

/** An archive that ends with an index of tarfs. */
const tarfs: Recognizer = (head, tail, source) => {
  const isTarfs = looksLikeTar(head)
    ? hasTarfsIndex(tail, source)
    : mayBeEmptyTarfs(head, tail, source.size);
  return isTarfs ? indexedFiles : null;
};

/** A blob has the first format that fits. */
const FILE_FORMATS: readonly Recognizer[] = [
  when(isComposefs, composefs),
  when(looksLikeRafs, rafs),
  when(looksLikeRafsV5, rafsV5),
  when((_, tail) => hasRafsToc(tail), rafsBlob),
  when((head, _, { name }) => hasDevices(head, name), erofsDevices),
  estargz,
  chunked,
  when((head) => hasBootstrap(isGzip(head) ? inflatedHead(head) : head), rafsLayer),
  tarfs,
  when((head, _, { size }) => looksLikeTar(head) || isEmptyArchive(head, size), files),
  when(isGzip, gzippedFiles),
  when(isZstd, zstdFiles),
];

function when(
  probe: (head: Buffer, tail: Buffer, source: BlobSource) => boolean,
  format: Content,
): Recognizer {
  return (...blob) => (probe(...blob) ? format : null);
}

/**
 * Formats that have a list of files beside an archive. What has one of them is an archive, too: if nothing verifies the list, the
 * archive is read, which can be verified as a whole.
 */
const LISTED_FORMATS: readonly Recognizer[] = [estargz, chunked, tarfs];

/** The format that something beside the blob says, whatever it looks like; null: nothing says it. */
function namedFormat({ ztoc, bootstrapDigest }: ContentRules): Content | null {
  if (ztoc) return soci;
  return bootstrapDigest === null ? null : rafsLayer;
}

/**
 * @param head the first bytes of what is inside the wrappers, or all
 * @param tail the last bytes, or all
 * @returns null if it is not a layer of files
 * @throws OverlaybdError if it is one, and broken
 */
export function fileFormatOf(
  rules: ContentRules,
  head: Buffer,
  tail: Buffer,
  source: BlobSource,
): Content | null {
  const named = namedFormat(rules);
  if (named) return named;
  const isUnverified = rules.needsToc && rules.toc === null;
  for (const recognize of FILE_FORMATS) {
    if (isUnverified && LISTED_FORMATS.includes(recognize)) continue;
    const format = recognize(head, tail, source);
    if (format) return format;
  }
  return null;
}
