// What `stat` prints of a file.

import type { ImageFile } from './image-file.js';
import {
  bytesOf,
  escapedName,
  exactTime,
  modeText,
  octalMode,
  TYPE_NAMES,
  type ShowName,
} from './texts.js';

/** Bytes of an xattr's value that are shown as text. */
const PRINTABLE = /^[\x20-\x7e]+$/;

/** Byte strings. @param name as it was given */
export async function statLines(name: string, file: ImageFile, show: ShowName): Promise<string[]> {
  const stat = await file.stat();
  const { type, mode, uid, gid, size, nlink, rdev, layer, target } = stat;
  const rows: [string, string][] = [['type', TYPE_NAMES[type]]];
  if (type === 'symlink') rows.push(['target', show(target)]);
  if (type === 'reg') rows.push(['size', `${size}`]);
  if (rdev) rows.push(['device', `${rdev.major}:${rdev.minor}`]);
  rows.push(['mode', `${octalMode(mode)} (${modeText(stat)})`], ['owner', `${uid}:${gid}`]);
  rows.push(['modified', exactTime(stat)], ['links', `${nlink}`]);
  if (layer !== null) rows.push(['layer', `${layer}`]);
  for (const [key, value] of await file.xattrs()) {
    rows.push(['xattr', `${escapedName(key)} = ${valueText(value)}`]);
  }
  return [show(name), ...rows.map(([key, value]) => `  ${key.padEnd(8)}  ${value}`)];
}

/** The text in quotes, or the bytes in hexadecimal digits as getfattr(1) shows them. */
function valueText(value: Uint8Array): string {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.length);
  const text = bytes.toString('latin1');
  if (PRINTABLE.test(text)) return bytesOf(JSON.stringify(text));
  return `0x${bytes.toString('hex')}`;
}
