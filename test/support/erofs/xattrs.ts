// The xattrs of an inode: those after it, and shared ones.
import { demand, type ReadDevice } from './demand.js';

const PREFIXES = ['', 'user.', 'system.posix_acl_access', 'system.posix_acl_default', 'trusted.'];
PREFIXES[6] = 'security.';

interface Area {
  what: string;
  at: number;
  size: number;
  end: number;
  /** Byte offset from which shared ones are counted. */
  shared: number;
}

export function readXattrs(
  read: ReadDevice,
  { what, at, size, end, shared }: Area,
): { xattrs: Record<string, string>; sharedAt: [number, number][] } {
  const xattrs: Record<string, string> = Object.create(null) as Record<string, string>;
  const sharedAt: [number, number][] = [];
  if (size === 0) return { xattrs, sharedAt };
  demand(at + size <= end, `${what}: xattrs outside of the device`);
  const area = read(at, size);
  demand(area.readUInt32LE(0) === 0, `${what}: a filter of names without the feature`);
  demand(
    area.subarray(5, 12).every((byte) => byte === 0),
    `${what}: reserved bytes of xattrs`,
  );
  const add = (name: string, value: string): void => {
    demand(!(name in xattrs), `${what}: ${name} twice`);
    xattrs[name] = value;
  };
  let here = 12;
  for (let n = area[4] as number; n > 0; n--, here += 4) {
    demand(here + 4 <= size, `${what}: shared xattrs outside of the area`);
    const begin = shared + 4 * area.readUInt32LE(here);
    demand(shared > 0 && begin + 4 <= end, `${what}: a shared xattr at ${begin}`);
    const head = read(begin, 4);
    const length = entrySize(head);
    demand(begin + length <= end, `${what}: a shared xattr of ${length} bytes at ${begin}`);
    add(...entryOf(read(begin, length), what));
    sharedAt.push([begin, begin + length]);
  }
  while (here < size) {
    demand(here + 4 <= size, `${what}: half an xattr`);
    const length = entrySize(area.subarray(here));
    demand(here + length <= size, `${what}: an xattr of ${length} bytes`);
    add(...entryOf(area.subarray(here, here + length), what));
    here += length;
  }
  return { xattrs, sharedAt };
}

function entrySize(head: Buffer): number {
  const bytes = 4 + (head[0] as number) + head.readUInt16LE(2);
  return Math.ceil(bytes / 4) * 4;
}

function entryOf(entry: Buffer, what: string): [string, string] {
  const nameLength = entry[0] as number;
  const index = entry[1] as number;
  const prefix = PREFIXES[index] ?? '';
  demand(prefix !== '', `${what}: xattr prefix ${index}`);
  const isWhole = index === 2 || index === 3;
  demand(isWhole === (nameLength === 0), `${what}: a name of ${nameLength} bytes after ${prefix}`);
  const valueAt = 4 + nameLength;
  const end = valueAt + entry.readUInt16LE(2);
  demand(
    entry.subarray(end).every((byte) => byte === 0),
    `${what}: bytes after an xattr`,
  );
  const name = prefix + entry.toString('latin1', 4, valueAt);
  return [name, entry.toString('latin1', valueAt, end)];
}
