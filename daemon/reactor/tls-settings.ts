// The TLS settings that the control plane posts to reactors. Types only. They contain secrets, so they
// must never be logged.

import type { TlsMode } from '../nbd/handshake.js';

export interface TlsSettings {
  readonly mode: TlsMode;
  /** The server's certificate chain and its key, PEM; null with pre-shared keys only. */
  readonly identity: { readonly certificate: string; readonly key: string } | null;
  /** PEM: clients must have a certificate that leads to one of these. */
  readonly clientCa: string | null;
  /** Common names of clients that may connect; null is all with a certificate of the CA. */
  readonly clientNames: readonly string[] | null;
  /** Pre-shared keys by identity. */
  readonly keys: ReadonlyMap<string, Uint8Array> | null;
}
