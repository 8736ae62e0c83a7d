// Which xattrs of the inodes EROFS can store, where each is stored, and how they are written. What several inodes have
// alike, such as a label of SELinux, is stored once.

import { viewOf } from '../lib/bytes.js';
import { sha256Of } from '../lib/sha256.js';
import { OPAQUE_MARK, OVERLAY_XATTRS } from '../tree/merged-tree.js';
import { compareBytes } from '../tree/names.js';
import {
  MAX_SHARED,
  MAX_XATTR_AREA,
  MAX_XATTR_NAME,
  MAX_XATTR_VALUE,
  XATTR_ENTRY,
  XATTR_HEADER,
} from './format.js';
import type { XattrSet } from '../tree/xattrs.js';

/** Names with one of these prefixes are stored without it. */
const PREFIXES = [
  ['user.', 1],
  ['trusted.', 4],
  ['security.', 6],
] as const;
/** These are stored as a number alone. */
const WHOLE_NAMES: ReadonlyMap<string, number> = new Map([
  ['system.posix_acl_access', 2],
  ['system.posix_acl_default', 3],
]);

const ACL_TAGS: ReadonlySet<number> = new Set([0x01, 0x02, 0x04, 0x08, 0x10, 0x20]);

/** One xattr as it is stored. */
interface Stored {
  readonly index: number;
  /** Without the prefix; one character a byte. */
  readonly name: string;
  readonly value: Uint8Array;
  /** How many inodes have it. */
  uses: number;
  /** Place in the shared area, in units of 4 bytes from its start; -1 until it has one. */
  shared: number;
}

/** The xattrs of an inode as they are stored. */
export interface XattrArea {
  readonly shared: readonly Stored[];
  readonly own: readonly Stored[];
  /** Bytes after the inode, a multiple of 4. */
  readonly size: number;
}

/** Xattrs that are left out, of all inodes. */
export interface DroppedXattrs {
  count: number;
  /** Full name of one of them, the first by its bytes; null if there is none. */
  first: string | null;
}

/** Of a longer value the digest is compared: values may have 256 MiB, and the texts of keys are on the heap. */
const MAX_KEY_VALUE = 64;

/** A set of xattrs. Hostile layers have very many: there is one table of them, and one object for each. */
interface PlannedSet {
  /** How many inodes have it. */
  uses: number;
  /** What can be stored; null before the second pass, and when it has its area. */
  stored: readonly Stored[] | null;
  area: XattrArea | null;
}

const NONE: readonly Stored[] = [];

export class XattrPlan {
  readonly dropped: DroppedXattrs = { count: 0, first: null };
  readonly #sets = new Map<XattrSet, PlannedSet>();
  readonly #sharedInOrder: Stored[] = [];
  #isCounted = false;
  /** Bytes of the shared area so far, a multiple of 4. */
  #sharedSize = 0;

  /** The first pass: counts the xattrs of one more inode. */
  count(set: XattrSet): void {
    const planned = this.#sets.get(set);
    if (planned) planned.uses++;
    else this.#sets.set(set, { uses: 1, stored: null, area: null });
  }

  /** The second pass, for the inodes in their order: where the xattrs of one of them are stored. */
  areaOf(set: XattrSet): XattrArea | null {
    if (!this.#isCounted) this.#findStored();
    const planned = this.#sets.get(set) as PlannedSet;
    const area = (planned.area ??= this.#layOut(planned.stored ?? NONE));
    planned.stored = null;
    return area.size === 0 ? null : area;
  }

  get sharedSize(): number {
    return this.#sharedSize;
  }

  /** Writes the shared area. */
  writeShared(bytes: Buffer, begin: number): void {
    for (const each of this.#sharedInOrder) writeEntry(bytes, begin + 4 * each.shared, each);
  }

  #findStored(): void {
    this.#isCounted = true;
    // Needed here only.
    const known = new Map<string, Stored>();
    for (const [set, planned] of this.#sets)
      planned.stored = this.#storedOf(set, planned.uses, known);
  }

  #storedOf(set: XattrSet, uses: number, known: Map<string, Stored>): Stored[] {
    const all: Stored[] = [];
    let size = XATTR_HEADER;
    for (const [i, name] of set.names.entries()) {
      const value = set.values[i] as Uint8Array;
      const short = storedName(name);
      // Room is counted as if nothing were shared, so that it does not depend on other inodes.
      const room = short === null ? 0 : entrySize(short.name, value);
      const isStorable = short !== null && isReadable(short.name, value);
      if (!isStorable || size + room > MAX_XATTR_AREA) {
        this.#drop(name, uses);
        continue;
      }
      size += room;
      const stored = interned(known, short.index, short.name, value);
      stored.uses += uses;
      all.push(stored);
    }
    return all;
  }

  #layOut(stored: readonly Stored[]): XattrArea {
    const isShared = stored.some(({ uses }) => uses > 1);
    const shared = isShared ? stored.filter(({ uses }) => uses > 1).slice(0, MAX_SHARED) : NONE;
    const own = isShared ? stored.filter((each) => !shared.includes(each)) : stored;
    for (const each of shared) {
      if (each.shared >= 0) continue;
      each.shared = this.#sharedSize / 4;
      this.#sharedSize += entrySize(each.name, each.value);
      this.#sharedInOrder.push(each);
    }
    const sizes = own.map(({ name, value }) => entrySize(name, value));
    const size = sizes.reduce((sum, each) => sum + each, 4 * shared.length);
    return { shared, own, size: size === 0 ? 0 : XATTR_HEADER + size };
  }

  #drop(name: string, uses: number): void {
    const { dropped } = this;
    dropped.count += uses;
    if (dropped.first === null || compareBytes(name, dropped.first) < 0) dropped.first = name;
  }
}

function interned(
  known: Map<string, Stored>,
  index: number,
  name: string,
  value: Uint8Array,
): Stored {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.length);
  const text =
    value.length > MAX_KEY_VALUE ? ` ${sha256Of(bytes)}` : `=${bytes.toString('latin1')}`;
  const key = `${index}:${name.length}:${name}${text}`;
  let found = known.get(key);
  if (!found) known.set(key, (found = { index, name, value, uses: 0, shared: -1 }));
  return found;
}

/**
 * Writes the area of an inode.
 * @param base number of the first shared xattr
 */
export function writeArea(
  bytes: Buffer,
  begin: number,
  { shared, own }: XattrArea,
  base: number,
): void {
  bytes[begin + 4] = shared.length;
  let at = begin + XATTR_HEADER;
  for (const each of shared) at = bytes.writeUInt32LE(base + each.shared, at);
  for (const each of own) {
    writeEntry(bytes, at, each);
    at += entrySize(each.name, each.value);
  }
}

function writeEntry(bytes: Buffer, at: number, { index, name, value }: Stored): void {
  bytes[at] = name.length;
  bytes[at + 1] = index;
  bytes.writeUInt16LE(value.length, at + 2);
  bytes.write(name, at + XATTR_ENTRY, 'latin1');
  bytes.set(value, at + XATTR_ENTRY + name.length);
}

function entrySize(name: string, value: Uint8Array): number {
  return (XATTR_ENTRY + name.length + value.length + 3) & ~3;
}

/** @returns null if EROFS has no way to store the name, or an overlayfs must not see it */
function storedName(name: string): { index: number; name: string } | null {
  const whole = WHOLE_NAMES.get(name);
  if (whole !== undefined) return { index: whole, name: '' };
  if (name === OPAQUE_MARK) return { index: 4, name: 'overlay.opaque' };
  if (name.startsWith(OVERLAY_XATTRS)) return null;
  for (const [prefix, index] of PREFIXES) {
    if (!name.startsWith(prefix)) continue;
    const rest = name.slice(prefix.length);
    return rest === '' || rest.length > MAX_XATTR_NAME ? null : { index, name: rest };
  }
  return null;
}

/** Whether the kernel can give the value: a broken access control list would shut the file for everyone. */
function isReadable(name: string, value: Uint8Array): boolean {
  if (value.length > MAX_XATTR_VALUE) return false;
  return name !== '' || isAcl(value);
}

/** Whether Linux can parse it: version 2, then entries of 8 bytes that begin with one of six tags. */
function isAcl(value: Uint8Array): boolean {
  if (value.length < 4 || value.length % 8 !== 4) return false;
  const view = viewOf(value);
  if (view.getUint32(0, true) !== 2) return false;
  for (let at = 4; at < value.length; at += 8) {
    if (!ACL_TAGS.has(view.getUint16(at, true))) return false;
  }
  return true;
}
