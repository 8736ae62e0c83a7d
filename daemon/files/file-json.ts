// A file of an image as `ls`, `tree` and `stat` print it with --json (docs/json-output.md): plain values. The names are
// the keys of the JSON, so they stay.

import type { ImageFile } from './image-file.js';
import { exactTime, octalMode, TYPE_NAMES, textOf } from './texts.js';

export interface FileJson {
  /** From the root of the image, decoded as UTF-8: "/etc/passwd". */
  readonly path: string;
  /** The bytes of the path in base64, if they are not UTF-8; else absent. */
  readonly pathBase64?: string;
  readonly type: string;
  readonly mode: string;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly mtime: string;
  readonly links: number;
  readonly target?: string;
  readonly targetBase64?: string;
  readonly major?: number;
  readonly minor?: number;
  readonly layer?: number;
  /** Values in base64. */
  readonly xattrs?: Readonly<Record<string, string>>;
}

/** @param path clean, of bytes */
export async function fileJson(path: string, file: ImageFile): Promise<FileJson> {
  const stat = await file.stat();
  const { type, uid, gid, size, nlink, rdev, target, layer, mode } = stat;
  const xattrs = await file.xattrs();
  return {
    ...textFields('path', `/${path}`),
    type: TYPE_NAMES[type],
    mode: octalMode(mode),
    uid,
    gid,
    size,
    mtime: exactTime(stat),
    links: nlink,
    ...(type === 'symlink' && textFields('target', target)),
    ...rdev,
    ...(layer !== null && { layer }),
    ...(xattrs.size > 0 && { xattrs: xattrsJson(xattrs) }),
  } as FileJson;
}

function textFields(key: 'path' | 'target', bytes: string): Record<string, string> {
  const text = textOf(bytes);
  const isExact = Buffer.from(text).toString('latin1') === bytes;
  if (isExact) return { [key]: text };
  return { [key]: text, [`${key}Base64`]: Buffer.from(bytes, 'latin1').toString('base64') };
}

function xattrsJson(xattrs: ReadonlyMap<string, Uint8Array>): Record<string, string> {
  return Object.fromEntries(
    [...xattrs].map(([name, value]) => [textOf(name), Buffer.from(value).toString('base64')]),
  );
}
