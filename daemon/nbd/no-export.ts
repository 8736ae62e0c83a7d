// The message for a client that asks for an export which does not exist or cannot be served.

import { quoted, shortened } from '../lib/printable.js';
import type { ExportTable } from './export.js';

/** UTF-16 units of a name in the message. */
const SHOWN_LENGTH = 64;
/** Names in the list. */
const LISTED = 8;
/** UTF-16 units of the list. The protocol allows 4096 bytes for the whole message. */
const MAX_LIST_LENGTH = 1024;

/** @param name as the client sent it; an empty one means the default export */
export function noExport(name: Buffer, exports: ExportTable): string {
  const text = name.toString('utf8');
  const code = exports.failure?.(text);
  if (code !== undefined) {
    return `the export ${shown(text)} cannot be served now: its image cannot be opened (${code}); the server's log and status say why`;
  }
  if (name.length > 0) return `no export named ${shown(text)}`;
  const names: string[] = [];
  let more = 0;
  for (const each of exports.list()) {
    if (names.length < LISTED) names.push(shown(each.name));
    else more++;
  }
  if (names.length === 0) return 'there are no exports';
  const list = shortened(names.join(', '), MAX_LIST_LENGTH);
  return `no default export: name one of ${list}${more > 0 ? ` and ${more} more` : ''}`;
}

function shown(name: string): string {
  return quoted(shortened(name, SHOWN_LENGTH));
}
