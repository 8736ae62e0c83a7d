// What a reactor needs to serve TLS, as the control plane posts it. Types only. Holds secrets:
// never to be logged.

import type { TlsMode } from '../nbd/handshake.js';

export interface TlsSettings {
  readonly mode: TlsMode;
  /** The server's certificate chain and its key, PEM; null with pre-shared keys only. */
  readonly identity: { readonly certificate: string; readonly key: string } | null;
  /** PEM: clients must have a certificate that leads to one of these. */
  readonly clientCa: string | null;
  /** Common names of clients that may connect; null is all that the CA vouches for. */
  readonly clientNames: readonly string[] | null;
  /** Pre-shared keys by identity. */
  readonly keys: ReadonlyMap<string, Uint8Array> | null;
}
