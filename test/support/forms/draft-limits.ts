// What some formats cannot carry is taken out of the entries before they are written.
import type { EntryDraft } from '../../../daemon/tree/builder.js';

/** A ztoc does not say where the data of sparse files are. */
export function withoutHoles(draft: EntryDraft): EntryDraft {
  const { size = 0 } = draft;
  if (draft.type !== 'reg' || size === 0) return draft;
  return { ...draft, data: [{ fileOffset: 0, length: size, source: 0, offset: 0 }] };
}

/** JSON has texts, and no bytes that are no UTF-8. */
export function withTexts(draft: EntryDraft): EntryDraft {
  const { path, target } = draft;
  return { ...draft, path: utf8(path), ...(target !== undefined && { target: utf8(target) }) };
}

const utf8 = (bytes: string): string =>
  bytes.replaceAll('\xff', '\xc3\xbf').replaceAll('\xfe', 'x');

/** tarfs has whole seconds from 1970 on, no xattrs, and targets that are in a header of ustar. */
export function asTarfs(draft: EntryDraft): EntryDraft {
  const { mtime = 0, target } = draft;
  return {
    ...draft,
    ...(draft.mtime !== undefined && { mtime: Math.max(0, mtime), mtimeNs: 0, xattrs: null }),
    ...(target !== undefined && { target: target.slice(0, 100) }),
  };
}
