// The NBD URI of an export of a running daemon, of those that it listens at. Connects to nothing.

/** Clear text and local first: nbdfuse needs no certificates there. */
const PREFERRED = ['nbd+unix:', 'nbd:', 'nbd+vsock:'] as const;

/**
 * @param listening the daemon's NBD URIs, without exports
 * @returns null when it listens nowhere that a client without certificates can use
 */
export function exportUri(listening: readonly string[], name: string): string | null {
  for (const scheme of PREFERRED) {
    const uri = listening.find((each) => each.startsWith(`${scheme}//`));
    if (uri !== undefined) return withExport(uri, name);
  }
  return null;
}

/** Whether a word is an NBD URI, and no path or export. */
export function isNbdUri(word: string): boolean {
  return /^nbds?(\+unix|\+vsock)?:\/\//.test(word);
}

/** Parameters of an NBD URI that are paths. */
const PATHS = ['socket', 'tls-certificates', 'tls-psk-file'] as const;

/** The URI for a program that runs in another folder: paths in it are absolute. */
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
    return null; // the program will say so
  }
}

function withExport(uri: string, name: string): string {
  const [, server = '', query = ''] = /^([a-z+]+:\/\/[^/?]*)[^?]*(\?.*)?$/.exec(uri) ?? [];
  return `${server}/${encodeURIComponent(name)}${query}`;
}
