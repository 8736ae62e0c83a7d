// NBD URIs: chooses one for an export of a running daemon, recognises them, makes their paths absolute.
// Does not connect.

import { OverlaybdError } from '../errors.js';
import { quoted } from '../lib/printable.js';

/** Exports that a message lists. */
const MOST_LISTED = 20;
/** Clear text only, because nbdfuse then needs no certificates; the local ones first. */
const PREFERRED = ['nbd+unix:', 'nbd:', 'nbd+vsock:'] as const;

/**
 * Chooses a URI for an export.
 * @param listening the NBD URIs at which the daemon listens, without exports
 * @returns null if a client without certificates can use none of them
 */
export function exportUri(listening: readonly string[], name: string): string | null {
  for (const scheme of PREFERRED) {
    const uri = listening.find((candidate) => candidate.startsWith(`${scheme}//`));
    if (uri !== undefined) return withExport(uri, name);
  }
  return null;
}

/** @throws OverlaybdError NOT_FOUND with the exports that there are */
export function checkExport(name: string, exports: readonly string[]): void {
  if (exports.includes(name)) return;
  const few = exports.slice(0, MOST_LISTED).map(shownName);
  const more = exports.length - few.length;
  const list =
    few.length === 0
      ? 'it has none'
      : `it has ${few.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
  // Names of files and exports have no colon, most of the time.
  const hint = name.includes(':') ? `; for an image of a registry write docker://${name}` : '';
  const message = `${quoted(name)}: there is no such file, and the daemon has no such export${hint}; ${list}`;
  throw new OverlaybdError('NOT_FOUND', message);
}

function shownName(name: string): string {
  return name === '' ? 'the default export ("")' : quoted(name);
}

/** Whether a word is an NBD URI and not a path or the name of an export. */
export function isNbdUri(word: string): boolean {
  return /^nbds?(\+unix|\+vsock)?:\/\//.test(word);
}

/** Parameters of an NBD URI that are paths. */
const PATHS = ['socket', 'tls-certificates', 'tls-psk-file'] as const;

/** The URI with absolute paths in its query, for a program that runs in another folder. */
export function absoluteUri(uri: string, absolute: (path: string) => string): string {
  const [front = '', query] = uri.split(/\?(.*)/s, 2);
  if (query === undefined) return uri;
  const parameters = query.split('&').map((parameter) => {
    const [name = '', value] = parameter.split(/=(.*)/s, 2);
    if (value === undefined || !(PATHS as readonly string[]).includes(name)) return parameter;
    const path = decode(value);
    return path === null || path.startsWith('/')
      ? parameter
      : `${name}=${encodeURIComponent(absolute(path)).replaceAll('%2F', '/')}`;
  });
  return `${front}?${parameters.join('&')}`;
}

function decode(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null; // leave it as it is: the program will report it
  }
}

function withExport(uri: string, name: string): string {
  const [, server = '', query = ''] = /^([a-z+]+:\/\/[^/?]*)[^?]*(\?.*)?$/.exec(uri) ?? [];
  return `${server}/${encodeURIComponent(name)}${query}`;
}
