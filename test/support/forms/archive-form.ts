// Layers as archives, plain or compressed, and what is in them.
import { gzipSync } from 'node:zlib';
import { compress } from 'zstd-napi';
import type { EntryDraft } from '../../../daemon/tree/builder.js';
import { writeDrafts } from '../draft-archive.js';

export interface ArchiveOptions {
  readonly codec: 'none' | 'gzip' | 'zstd';
  /** Of sparse files: 0 to 3. */
  readonly sparseForm: number;
  /** Bytes of the archive in each gzip member or zstd frame. */
  readonly memberSize: number;
}

const ENCODERS = {
  none: (bytes: Buffer): Buffer => bytes,
  gzip: (bytes: Buffer): Buffer => gzipSync(bytes, { level: 1 }),
  zstd: (bytes: Buffer): Buffer => compress(bytes),
};

export function writeArchiveForm(drafts: readonly EntryDraft[], options: ArchiveOptions): Buffer {
  const { bytes } = writeDrafts(drafts, options.sparseForm);
  return inMembers(bytes, options);
}

export function inMembers(
  archive: Buffer,
  { codec, memberSize }: Pick<ArchiveOptions, 'codec' | 'memberSize'>,
): Buffer {
  const members: Buffer[] = [];
  for (let at = 0; at < archive.length; at += memberSize) {
    members.push(ENCODERS[codec](archive.subarray(at, at + memberSize)));
  }
  return Buffer.concat(members);
}

export interface StoredLayer {
  /** The same entries, with their contents in `bytes`. */
  readonly drafts: readonly EntryDraft[];
  readonly bytes: Buffer;
}

/** The entries with the contents that archives of them have, which lie one after another. */
export function storedLayer(drafts: readonly EntryDraft[]): StoredLayer {
  const { contents } = writeDrafts(drafts, 0);
  const parts: Buffer[] = [];
  let offset = 0;
  const stored = drafts.map((draft, i): EntryDraft => {
    const content = contents.get(i);
    if (!content || content.length === 0) return draft;
    const range = { fileOffset: 0, length: content.length, source: 0, offset };
    const padding = Buffer.alloc(-content.length & 511);
    parts.push(content, padding);
    offset += content.length + padding.length;
    return { ...draft, data: [range] };
  });
  return { drafts: stored, bytes: Buffer.concat(parts) };
}
