// The error of one entry of a layer: which layer, which entry, where it is, and what is wrong with it.

import { OverlaybdError, type ErrorCode } from '../errors.js';
import type { TreeEntry } from './layer-tree.js';
import { shownPath } from './names.js';

/** Path (as the layer has it) and position of an entry. */
export type EntryPlace = Pick<TreeEntry, 'path' | 'position'>;

/** @param text what is wrong: "a name of 256 bytes, at most 255" */
export function entryError(
  code: ErrorCode,
  blob: string,
  { path, position }: EntryPlace,
  text: string,
): OverlaybdError {
  const section = `entry ${shownPath(path)}`;
  const place = position < 0 ? '' : ` at byte ${position}`;
  const facts = { blob, section, ...(position >= 0 && { offset: position }) };
  return new OverlaybdError(code, `${blob}: ${section}${place}: ${text}`, { facts });
}
