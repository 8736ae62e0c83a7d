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

function withExport(uri: string, name: string): string {
  const [, server = '', query = ''] = /^([a-z+]+:\/\/[^/?]*)[^?]*(\?.*)?$/.exec(uri) ?? [];
  return `${server}/${encodeURIComponent(name)}${query}`;
}
