// The files of an image as the commands see them that look inside, in the form of the fixtures' expected.tree.jsonl.
import { allBytes } from '../../daemon/files/all-bytes.js';
import type { ImageFile } from '../../daemon/files/image-file.js';
import type { ErofsEntry, ErofsInode } from './erofs/reader.js';
import { treeLines, type TreeLine } from './erofs/tree-lines.js';

export async function imageFileLines(root: ImageFile): Promise<TreeLine[]> {
  const entries: ErofsEntry[] = [];
  const pending = [{ path: '', file: root }];
  for (let next = pending.pop(); next; next = pending.pop()) {
    const { path, file } = next;
    entries.push({ path, inode: await inodeOf(path, file) });
    for (const name of await file.names()) {
      const child = await file.child(name);
      if (!child) throw new Error(`${path}/${name} is listed and is not there`);
      pending.push({ path: path === '' ? name : `${path}/${name}`, file: child });
    }
  }
  return treeLines(entries);
}

async function inodeOf(path: string, file: ImageFile): Promise<ErofsInode> {
  const { rdev, target, layer: _, ...stat } = await file.stat();
  const xattrs = [...(await file.xattrs())].map(([name, value]) => [
    name,
    Buffer.from(value).toString('latin1'),
  ]);
  const parts: Buffer[] = [];
  if (stat.type === 'reg') {
    for await (const part of allBytes(path, file)) parts.push(Buffer.from(part));
  }
  return {
    ...stat,
    nid: Number(file.inode),
    rdev: rdev && [rdev.major, rdev.minor],
    target: stat.type === 'symlink' ? target : null,
    xattrs: Object.fromEntries(xattrs) as Record<string, string>,
    read: stat.type === 'reg' ? () => Buffer.concat(parts) : null,
  };
}
