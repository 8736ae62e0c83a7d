// What the control plane and its reactors tell each other. Types only.

import type { ErrorFacts } from '../errors.js';
import type { ExportSpec, FailedExportSpec } from '../image/export-spec.js';
import type { DiskSpec } from '../image/spec.js';
import type { ReplyForm } from '../nbd/session.js';
import type { UnfinishedPayload } from '../nbd/transmission.js';
import type { Peer } from './peer.js';
import type { TlsSettings } from './tls-settings.js';

/** An export as one reactor gets it: of an image that it knows already by its key, without the disk. */
export type PostedExport = Omit<ExportSpec, 'disk'> & { readonly disk: DiskSpec | null };

/** A connection in its transmission phase, apart from its socket. */
export interface ResumedTransmission extends UnfinishedPayload {
  readonly export: string;
  /**
   * What the client was told, in bytes: the export's own size, or that filled up to a multiple of the
   * client's blocks. Nothing: the export's own.
   */
  readonly size?: number;
  readonly form: ReplyForm;
  /** Names of the metadata contexts that the client selected. */
  readonly contexts: readonly string[];
  /** What has been received and not been looked at. */
  readonly received: Uint8Array;
}

/** A connection that its reactor let go of between two requests, for another process. */
export interface OfferedConnection {
  readonly id: number;
  readonly fd: number;
  readonly transmission: ResumedTransmission;
  readonly counts: Omit<ConnectionCounts, 'id'>;
}

/** Counters of a connection that is open. */
export interface ConnectionCounts {
  readonly id: number;
  readonly requests: number;
  readonly errors: number;
  readonly bytesSent: number;
}

export type ToReactor =
  /** All exports, in place of those before; connections keep what they have. */
  | {
      readonly type: 'exports';
      readonly exports: readonly PostedExport[];
      readonly failed: readonly FailedExportSpec[];
    }
  /** How new connections are served inside TLS; null, or never told: they are not. */
  | { readonly type: 'tls'; readonly settings: TlsSettings | null }
  /** A connected socket, which now belongs to the reactor. */
  | {
      readonly type: 'connection';
      readonly id: number;
      readonly fd: number;
      readonly peer: Peer;
      /** Names of the exports that can be seen by it; null is all of them. */
      readonly exports: readonly string[] | null;
      /** Where it goes on; null begins with the handshake. */
      readonly resume: ResumedTransmission | null;
    }
  /** Tell the counters of all connections. */
  | { readonly type: 'count'; readonly request: number }
  /** Bring every plain connection to the end of a request, and offer it; or stop doing so. */
  | { readonly type: 'offer'; readonly on: boolean }
  /** Take no more requests of a plain connection than have come, and end it when they are answered. */
  | { readonly type: 'end input'; readonly id: number }
  /** A report of failed reads is where it must be: there may be another one. */
  | { readonly type: 'report taken' }
  /** Answer what has been taken, then end every connection. */
  | { readonly type: 'drain' };

/** Why a connection is over: in order, with its socket, by what the client did, by TLS, by a bug. */
export type CloseKind = 'ended' | 'failed' | 'refused' | 'protocol' | 'tls' | 'bug';

/** What there is to say of a connection when it is over. */
export interface ConnectionSummary {
  readonly id: number;
  readonly peer: Peer;
  /** The peer in logs; if TLS says who it is, with that: "10.0.0.7:4711 CN=alice". */
  readonly name: string;
  /** null when the handshake did not get so far. */
  readonly export: string | null;
  readonly reason: string;
  readonly kind: CloseKind;
  readonly requests: number;
  readonly errors: number;
  /** Without what TLS adds. */
  readonly bytesSent: number;
  /** The version of TLS; null when the connection was plain to its end. */
  readonly tls: string | null;
}

/** Reads that failed alike; where and for whom it was the last time. */
export interface ReadFailureReport extends Omit<ErrorFacts, 'export' | 'offset'> {
  /** Where in the blob the error is, if it names one. */
  readonly blobOffset?: number;
  /** The same for reads that failed alike; null for some that differ. */
  readonly key: string | null;
  /** How many reads; 1 or more. */
  readonly count: number;
  readonly export: string;
  /** In logs, as {@link ConnectionSummary.name}. */
  readonly peer: string;
  readonly offset: number;
  readonly length: number;
  readonly code: string;
  readonly message: string;
}

/** A request that was refused, or some that were refused alike: then the last of them. */
export interface RefusedRequestReport {
  /** 0 for a single request, else how many since the last report. */
  readonly count: number;
  /** Whether they differ, because there were too many kinds to count each. */
  readonly mixed: boolean;
  readonly export: string;
  /** In logs, as {@link ConnectionSummary.name}. */
  readonly peer: string;
  /** "NBD_CMD_WRITE". */
  readonly command: string;
  readonly offset: number;
  readonly length: number;
  /** "NBD_EPERM". */
  readonly error: string;
  readonly reason: string;
}

export type FromReactor =
  | { readonly type: 'closed'; readonly summary: ConnectionSummary }
  | { readonly type: 'offered'; readonly connection: OfferedConnection }
  | {
      readonly type: 'counts';
      readonly request: number;
      readonly counts: readonly ConnectionCounts[];
    }
  /** Answered by 'report taken'. */
  | { readonly type: 'read failed'; readonly report: ReadFailureReport }
  | { readonly type: 'request refused'; readonly report: RefusedRequestReport };
