// The messages between the control plane and its reactors. Types only.

import type { ErrorFacts } from '../errors.js';
import type { ExportSpec, FailedExportSpec } from '../image/disks/export-spec.js';
import type { RemoteLine } from '../registry/remote.js';
import type { DiskSpec } from '../image/disks/spec.js';
import type { SpinCounts } from '../native/poll.js';
import type { ReplyForm } from '../nbd/session.js';
import type { PostedDecoding } from '../pieces/decode-counts.js';
import type { SharedMembersData } from '../pieces/shared-members.js';
import type { UnfinishedPayload } from '../nbd/commands.js';
import type { PostedWaits } from './export-waits.js';
import type { Peer } from './peer.js';
import type { TlsSettings } from './tls-settings.js';

export type { SpinCounts } from '../native/poll.js';
export type { PostedDecoding } from '../pieces/decode-counts.js';

/** An export as one reactor gets it; without the disk if it already knows the image by its key. */
export type PostedExport = Omit<ExportSpec, 'disk'> & { readonly disk: DiskSpec | null };

/** A connection in its transmission phase, apart from its socket. */
export interface ResumedTransmission extends UnfinishedPayload {
  readonly export: string;
  /**
   * The size that the client knows, in bytes: the export's, or that rounded up to the client's blocks. If
   * absent, the export's.
   */
  readonly size?: number;
  readonly form: ReplyForm;
  /** Names of the metadata contexts that the client selected. */
  readonly contexts: readonly string[];
  /** Bytes that have been received and not parsed. */
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

/** Counters of an open connection, with its export; null before the client has chosen one. */
export interface OpenCounts extends ConnectionCounts {
  readonly export: string | null;
}

export type ToReactor =
  /** The thread's line to the fetcher; comes before the first exports that need it. */
  | { readonly type: 'fetcher'; readonly line: RemoteLine }
  /** The decoded members that all threads share; comes before the first exports that have some. */
  | { readonly type: 'shared members'; readonly data: SharedMembersData }
  /** All exports. Replaces those before; open connections keep the ones that they have. */
  | {
      readonly type: 'exports';
      readonly exports: readonly PostedExport[];
      readonly failed: readonly FailedExportSpec[];
    }
  /** How long the thread looks for the next request before it sleeps. */
  | { readonly type: 'spin'; readonly microseconds: number }
  /** How new connections use TLS; null, and before the first such message: they do not. */
  | { readonly type: 'tls'; readonly settings: TlsSettings | null }
  /** A connected socket, which the reactor now owns. */
  | {
      readonly type: 'connection';
      readonly id: number;
      readonly fd: number;
      readonly peer: Peer;
      /** Names of the exports that it can see; null is all of them. */
      readonly exports: readonly string[] | null;
      /** Where it resumes; null starts with the handshake. */
      readonly resume: ResumedTransmission | null;
    }
  /** Asks for the counters of all connections. */
  | { readonly type: 'count'; readonly request: number }
  /** Offer every plain connection between two of its requests; or stop doing so. */
  | { readonly type: 'offer'; readonly on: boolean }
  /** End the input of a plain connection: answer the requests that have arrived, then end it. */
  | { readonly type: 'end input'; readonly id: number }
  /** A report has been logged; the reactor may send another one. */
  | { readonly type: 'report taken' }
  /** Answer the requests that have arrived, then end every connection. */
  | { readonly type: 'drain' };

/** Why a connection ended: in order, socket failure, refusal, protocol violation, TLS failure, our bug. */
export type CloseKind = 'ended' | 'failed' | 'refused' | 'protocol' | 'tls' | 'bug';

/** The facts about a connection that has ended. */
export interface ConnectionSummary {
  readonly id: number;
  readonly peer: Peer;
  /** The peer in logs, after TLS with its identity: "10.0.0.7:4711 CN=alice". */
  readonly name: string;
  /** null if the handshake did not reach one. */
  readonly export: string | null;
  readonly reason: string;
  readonly kind: CloseKind;
  readonly requests: number;
  readonly errors: number;
  /** Without the overhead of TLS. */
  readonly bytesSent: number;
  /** The version of TLS; null if the connection had none. */
  readonly tls: string | null;
}

/** Reads that failed for the same reason, with place and peer of the last one. */
export interface ReadFailureReport extends Omit<ErrorFacts, 'export' | 'offset'> {
  /** Where in the blob the error is, if it names one. */
  readonly blobOffset?: number;
  /** Equal for reads that failed for the same reason; null if the reasons differ. */
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
      readonly counts: readonly OpenCounts[];
      readonly waits: readonly PostedWaits[];
      /** Its looks for requests; null if the thread has ended. */
      readonly spins: SpinCounts | null;
      /** null if it has nothing to decode. */
      readonly decoding: PostedDecoding | null;
    }
  /** Answered by 'report taken'. */
  | { readonly type: 'read failed'; readonly report: ReadFailureReport }
  | { readonly type: 'request refused'; readonly report: RefusedRequestReport };
