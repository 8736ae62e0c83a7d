// A tree as a blob with a table of contents: eStargz, stargz and zstd:chunked.
import {
  writeEstargz,
  type TocFile,
  type WriteOptions,
  type WrittenBlob,
} from '../estargz-writer.js';
import type { TreeFile } from './tree-files.js';

export function writeTocForm(files: readonly TreeFile[], options: WriteOptions): WrittenBlob {
  // A table of contents has no entry for the root, but for one that says what it is like.
  return writeEstargz(files.map(tocFileOf), options);
}

function tocFileOf(file: TreeFile): TocFile {
  const { path, type, sameAs, bytes, target, rdev, xattrs } = file;
  const name = path === '' ? './' : utf8(path) + (type === 'dir' ? '/' : '');
  if (sameAs !== undefined) return { entry: { name, type: 'hardlink', linkName: utf8(sameAs) } };
  const entry = {
    name,
    type,
    mode: file.mode,
    uid: file.uid,
    gid: file.gid,
    modtime: rfc3339(file.mtime, file.mtimeNs),
    ...(target !== null && { linkName: utf8(target) }),
    ...(rdev && { devMajor: rdev[0], devMinor: rdev[1] }),
    ...(Object.keys(xattrs).length > 0 && { xattrs: base64Values(xattrs) }),
  };
  return { entry, ...(bytes && { bytes }) };
}

const utf8 = (bytes: string): string => Buffer.from(bytes, 'latin1').toString('utf8');

function base64Values(xattrs: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(xattrs).map(([name, value]) => [
      utf8(name),
      Buffer.from(value, 'latin1').toString('base64'),
    ]),
  );
}

function rfc3339(mtime: number, mtimeNs: number): string {
  const seconds = new Date(mtime * 1000).toISOString().slice(0, -'.000Z'.length);
  return `${seconds}.${String(mtimeNs).padStart(9, '0')}Z`;
}
