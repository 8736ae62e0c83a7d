// Recognises clients that speak another protocol, so that the log says how to mend that, instead of complaining about
// client flags.

/** The first four bytes of HTTP methods, and of HTTP/2. */
const HTTP_BEGINNINGS = [
  'GET ',
  'HEAD',
  'POST',
  'PUT ',
  'DELE',
  'CONN',
  'OPTI',
  'TRAC',
  'PATC',
  'PRI ',
];

/**
 * @param bytes the first four bytes of a client
 * @returns a message with the protocol and the remedy; null if it may be an NBD client
 */
export function otherProtocol(bytes: Buffer): string | null {
  // A TLS handshake record of any version.
  if (bytes[0] === 0x16 && bytes[1] === 0x03) {
    return 'sent TLS to a plain NBD port; TLS begins inside the NBD handshake (NBD_OPT_STARTTLS, as for nbds:// URIs)';
  }
  const word = bytes.toString('latin1', 0, 4);
  if (HTTP_BEGINNINGS.includes(word)) {
    return 'sent HTTP to a plain NBD port; only NBD clients are served here, for example nbdinfo nbd://HOST';
  }
  const protocol = word === 'SSH-' ? 'SSH' : /^[\t\r\n -~]{4}$/.test(word) ? 'text' : null;
  if (protocol === null) return null;
  return `sent ${protocol} to a plain NBD port; only NBD clients are served here, for example nbdinfo nbd://HOST`;
}
