// What the control plane and its reactors tell each other. Types only.

import type { DeviceSpec } from '../image/spec.js';
import type { TlsSettings } from './tls-settings.js';

/** An export as a reactor gets it. */
export interface ExportSpec {
  readonly name: string;
  readonly description: string;
  readonly device: DeviceSpec;
}

export type ToReactor =
  /** All exports, in place of those before; connections keep what they have. */
  | { readonly type: 'exports'; readonly exports: readonly ExportSpec[] }
  /** How to serve TLS; comes before any connection, or there is none. */
  | { readonly type: 'tls'; readonly settings: TlsSettings }
  /** A connected socket, which now belongs to the reactor. */
  | {
      readonly type: 'connection';
      readonly id: number;
      readonly fd: number;
      readonly peer: string;
      /** Names of the exports that can be seen by it; null is all of them. */
      readonly exports: readonly string[] | null;
    }
  /** Answer what has been taken, then end every connection. */
  | { readonly type: 'drain' };

/** What there is to say of a connection when it is over. */
export interface ConnectionSummary {
  readonly id: number;
  readonly peer: string;
  /** null when the handshake did not get so far. */
  readonly export: string | null;
  readonly reason: string;
  readonly requests: number;
  readonly errors: number;
  /** Without what TLS adds. */
  readonly bytesSent: number;
  /** The version of TLS; null when the connection was plain to its end. */
  readonly tls: string | null;
}

export type FromReactor =
  /** The thread is up. */
  | { readonly type: 'started' }
  | { readonly type: 'closed'; readonly summary: ConnectionSummary }
  | {
      readonly type: 'read failed';
      readonly export: string;
      readonly peer: string;
      readonly offset: number;
      readonly length: number;
      readonly code: string;
      readonly message: string;
    };
