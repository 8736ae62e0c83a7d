// The formats of blobs, outermost first: the wrappers that a blob may have, and the contents that may be inside. Serve,
// inspect and verify open and refuse blobs through this file. Those of layers of files are a table of their own
// (file-formats.ts), which is loaded when a blob may be in one of them.

import {
  findTarPayload,
  isNamedAsLayer,
  isTarHeader,
  payloadStart,
  TAR_HEAD_SIZE,
} from '../../blob/tar.js';
import { SliceSource } from '../../blob/slice-source.js';
import { readFully, type BlobSource } from '../../blob/source.js';
import { OverlaybdError } from '../../errors.js';
import { areZeros } from '../../lib/bytes.js';
import type { Effort } from '../../lib/effort.js';
import {
  LSMT_FLAG,
  LSMT_HEADER_SIZE,
  isLsmtHeader,
  parseLsmtHeader,
  type LsmtHeader,
} from '../../lsmt/format.js';
import { isUnsealed, openSealed } from '../../lsmt/open-sealed.js';
import { openSparse } from '../../lsmt/open-upper.js';
import { isZfileHeader } from '../../zfile/format.js';
import { openZfile } from '../../zfile/open.js';
import { isOverlaybd } from '../../registry/blob-head.js';
import { isGzip } from './archives.js';
import type * as FileFormats from './file-formats.js';
import { mayBeFiles, tailOf } from './file-signs.js';
import type {
  Content,
  ContentRules,
  LayerContent,
  OpenTools,
  Unwrapped,
  Wrapper,
} from './format.js';
import { raw } from './raw-content.js';
import { loadAround } from '../disks/reader-factory.js';
import { isOfPieces, sliceOf } from '../disks/spec.js';
import { refuseUnused } from './unused-options.js';

/** What formats look at to recognize a blob: this many of its first bytes. */
const PROBE_SIZE = Math.max(LSMT_HEADER_SIZE, TAR_HEAD_SIZE);

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

function isLsmt(head: Buffer): boolean {
  return head.length >= LSMT_HEADER_SIZE && isLsmtHeader(head);
}

const lsmt: Content = {
  kind: 'content',
  name: 'lsmt',
  open: async (
    { spec, source, tar: inTar, zfile: inZfile },
    head,
    { mayBeUpper, target },
    { effort },
  ) => {
    if (!target && isOfPieces(spec)) {
      const message = `${source.name}: a turboOCI layer: most of its data is in another layer, and nothing says in which`;
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

/**
 * Removes the wrappers of a blob: each at most once, and only in this order.
 * @throws OverlaybdError if a wrapper is broken; what `tools` throw
 */
export async function unwrap(blob: Unwrapped, tools: OpenTools): Promise<Unwrapped> {
  const wrappers = [tar, zfile];
  // The archive of a turboOCI layer is in gzip, and nothing else that has a wrapper.
  if (isGzip(await headOf(blob.source))) wrappers.unshift((await fileFormats()).turbo);
  let inner = blob;
  for (const wrapper of wrappers) {
    const head = await headOf(inner.source);
    if (wrapper.probe(head)) inner = await wrapper.open(inner, head, tools);
  }
  return inner;
}

/** Contents that say nothing that an ordinary image has the digest of, by their names. */
const UNVERIFIED: ReadonlySet<string> = new Set([
  'lsmt',
  'tarfs',
  'composefs',
  'rafs',
  'rafs blob',
  'rafs layer',
  'erofs with devices',
]);

/** Opens what is inside the wrappers. @throws OverlaybdError if that is not possible */
export async function openContent(
  found: Unwrapped,
  rules: ContentRules,
  tools: OpenTools,
): Promise<LayerContent> {
  const inner = await verified(found, rules, tools);
  const format = await contentOf(inner, await headOf(inner.source), rules);
  let changed: Unwrapped | null = null;
  /** The bytes that the wrappers and the format were chosen by may have been other ones than those that were compared. */
  const isStill = async (): Promise<boolean> => {
    const again = await rules.reopen();
    const isBare = !again.tar && !again.zfile && !isOfPieces(again.spec);
    const now = await contentOf(again, await headOf(again.source), rules);
    if (isBare && now.name === format.name) return true;
    changed = again;
    return false;
  };
  try {
    return await openAs(format, inner, inner === found ? { ...rules, isStill } : rules, tools);
  } catch (error) {
    if (!changed) throw error;
  }
  const right = await verified(changed, rules, tools);
  return openAs(await contentOf(right, await headOf(right.source), rules), right, rules, tools);
}

async function openAs(
  format: Content,
  inner: Unwrapped,
  rules: ContentRules,
  tools: OpenTools,
): Promise<LayerContent> {
  if (rules.target && format !== lsmt) {
    const message = `${inner.source.name}: the index of a turboOCI layer: not an LSMT layer: no such header`;
    throw new OverlaybdError('BAD_FORMAT', message);
  }
  if (isOfPieces(inner.spec) && format !== lsmt && format !== raw) {
    const message = `${inner.source.name}: ${format.name} in the archive of a turboOCI layer, where an LSMT layer is expected`;
    throw new OverlaybdError('UNSUPPORTED', message);
  }
  const content = await format.open(inner, await headOf(inner.source), rules, tools);
  refuseUnused(format.name, rules, inner.source.name);
  return content;
}

/** What is opened: what was read before the bytes were compared says nothing, neither of the wrappers nor of the format. */
async function verified(
  inner: Unwrapped,
  rules: ContentRules,
  tools: OpenTools,
): Promise<Unwrapped> {
  const digest = rules.needsToc ? (rules.digests?.blob ?? null) : null;
  // The archive of a turboOCI layer was compared before its target was opened by it.
  if (digest === null || rules.target) return inner;
  const { name } = await contentOf(inner, await headOf(inner.source), rules);
  if (!UNVERIFIED.has(name)) return inner;
  const { verifyStored } = await import('./verified-blob.js');
  await verifyStored(rules.blob, digest, rules, tools);
  return rules.reopen();
}

/** What is inside the wrappers: the first that fits of an LSMT layer, a layer of files, any other blob. */
async function contentOf(
  { source, spec }: Unwrapped,
  head: Buffer,
  rules: ContentRules,
): Promise<Content> {
  const isNamed = rules.ztoc !== null || rules.bootstrapDigest !== null;
  if (!isNamed && isLsmt(head)) return lsmt;
  // An archive without files may be filled up to any size. The digest of a blob of a registry is checked: it is no file that has
  // lost its bytes.
  const isOfZeros = !rules.mayBeRaw && spec.kind === 'cached' && areZeros(head);
  const isEmpty = source.size === 0 ? isEmptyLayer(source.name, rules) : isOfZeros;
  if (!isNamed && !isEmpty && !(await mayBeFiles(head, source))) return raw;
  const { fileFormatOf, files } = await fileFormats();
  return fileFormatOf(rules, head, await tailOf(source), source) ?? (isEmpty ? files : raw);
}

/**
 * Whether a blob without bytes is a layer without files, as other tools take it. If nothing says so, it is a file that has lost its
 * bytes: a disk, or a layer of a configuration.
 */
function isEmptyLayer(name: string, { digests }: ContentRules): boolean {
  return digests !== null || name.endsWith('.tar');
}

/** With the sources that layers of files are read through. */
async function fileFormats(): Promise<typeof FileFormats> {
  await loadAround();
  return import('./file-formats.js');
}

/** Comes from memory, if the bytes are in the edges of the blob. */
function headOf(source: BlobSource): Promise<Buffer> {
  return readFully(source, 0, Math.min(source.size, PROBE_SIZE));
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
