// Parses the data of options. Pure. Returns a string with the reason if the data is wrong.

import { MAX_NAME_LENGTH } from './limits.js';

export interface InfoQuery {
  readonly name: Buffer;
  /** What else the client asks for, NBD_INFO_*. */
  readonly wanted: ReadonlySet<number>;
}

/** OPT_INFO and OPT_GO: a name, then a list of infos. */
export function parseInfoQuery(data: Buffer): InfoQuery | string {
  if (data.length < 6) return 'shorter than a name length and a count';
  const nameLength = data.readUInt32BE(0);
  if (nameLength > MAX_NAME_LENGTH) return `name longer than ${MAX_NAME_LENGTH} bytes`;
  if (4 + nameLength + 2 > data.length) return 'name reaches past the end of the option';
  const count = data.readUInt16BE(4 + nameLength);
  const from = 4 + nameLength + 2;
  if (from + 2 * count !== data.length) return 'count of requests does not match the length';
  const wanted = new Set<number>();
  for (let i = 0; i < count; i++) wanted.add(data.readUInt16BE(from + 2 * i));
  return { name: data.subarray(4, 4 + nameLength), wanted };
}

export interface MetaQuery {
  readonly name: Buffer;
  readonly queries: readonly string[];
}

/** OPT_LIST_META_CONTEXT and OPT_SET_META_CONTEXT: a name, then a list of queries. */
export function parseMetaQuery(data: Buffer): MetaQuery | string {
  if (data.length < 8) return 'shorter than a name length and a count';
  const nameLength = data.readUInt32BE(0);
  if (nameLength > MAX_NAME_LENGTH) return `name longer than ${MAX_NAME_LENGTH} bytes`;
  if (4 + nameLength + 4 > data.length) return 'name reaches past the end of the option';
  const count = data.readUInt32BE(4 + nameLength);
  const queries: string[] = [];
  let at = 4 + nameLength + 4;
  for (let i = 0; i < count; i++) {
    // Each query takes bytes of the option, so a giant count fails here at once.
    if (at + 4 > data.length) return 'fewer queries than their count says';
    const length = data.readUInt32BE(at);
    at += 4;
    if (length > MAX_NAME_LENGTH) return `query longer than ${MAX_NAME_LENGTH} bytes`;
    if (at + length > data.length) return 'query reaches past the end of the option';
    queries.push(data.toString('utf8', at, at + length));
    at += length;
  }
  if (at !== data.length) return 'bytes after the last query';
  return { name: data.subarray(4, 4 + nameLength), queries };
}
