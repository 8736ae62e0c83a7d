// What a reader found, in the form of the fixtures' expected.tree.jsonl: one object an entry, sorted by path.
import { createHash } from 'node:crypto';
import type { ErofsEntry } from './reader.js';

export type TreeLine = Record<string, unknown>;

export function treeLines(entries: readonly ErofsEntry[]): TreeLine[] {
  const first = new Map<number, string>();
  const absolute = entries.map(({ path, inode }) => ({ path: `/${path}`, inode }));
  const sorted = absolute.toSorted((a, b) => (a.path < b.path ? -1 : 1));
  return sorted.map(({ path, inode }) => {
    const line: TreeLine = {
      ...nameOf('path', path),
      type: inode.type,
      mode: inode.mode.toString(8).padStart(4, '0'),
      uid: inode.uid,
      gid: inode.gid,
      mtime: inode.mtime,
      mtime_ns: inode.mtimeNs,
      nlink: inode.nlink,
    };
    if (inode.type === 'reg' || inode.type === 'symlink') line['size'] = inode.size;
    if (inode.rdev) line['rdev'] = inode.rdev;
    if (inode.target !== null) Object.assign(line, nameOf('target', inode.target));
    const xattrs = Object.entries(inode.xattrs).map(([name, value]) => [
      Buffer.from(name, 'latin1').toString('utf8'),
      Buffer.from(value, 'latin1').toString('base64'),
    ]);
    line['xattrs'] = Object.fromEntries(xattrs) as unknown;
    if (inode.read) line['sha256'] = createHash('sha256').update(inode.read()).digest('hex');
    const known = first.get(inode.nid);
    if (known !== undefined) line['hardlink_of'] = known;
    else first.set(inode.nid, path);
    return line;
  });
}

function nameOf(key: string, bytes: string): TreeLine {
  const raw = Buffer.from(bytes, 'latin1');
  const text = raw.toString('utf8');
  if (Buffer.from(text).equals(raw)) return { [key]: text };
  return { [`${key}_b64`]: raw.toString('base64') };
}
