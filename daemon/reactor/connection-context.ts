// The interface between a connection and its reactor. Types, and the usual deadlines.

import type { ExportTable, NbdExport } from '../nbd/export.js';
import type { TlsMode } from '../nbd/handshake.js';
import type { LargeMemory } from '../nbd/large-memory.js';
import { HANDSHAKE_TIMEOUT_MS } from '../nbd/limits.js';
import { DRAIN_TIMEOUT_MS, LINGER_MS } from './limits.js';
import type { SendBufferPool } from '../nbd/outbox.js';
import type { ReadRequest, Request } from '../nbd/request.js';
import type { PipePool } from './file-pipe.js';
import type { ConnectionCounts, ConnectionSummary, ResumedTransmission } from './messages.js';
import type { TlsAcceptor } from './tls-acceptor.js';

/** Milliseconds; see limits.ts. */
export interface Deadlines {
  readonly handshakeMs: number;
  readonly drainMs: number;
  readonly lingerMs: number;
}

export const DEADLINES: Deadlines = {
  handshakeMs: HANDSHAKE_TIMEOUT_MS,
  drainMs: DRAIN_TIMEOUT_MS,
  lingerMs: LINGER_MS,
};

/** A connection as its reactor sees it when the connection reports something. */
export interface ReportingConnection {
  readonly id: number;
  /** For logs. */
  readonly name: string;
  readonly export: NbdExport | null;
  readonly counts: Omit<ConnectionCounts, 'id'>;
}

/** What all connections of a reactor share. */
export interface ConnectionContext {
  readonly exports: ExportTable;
  readonly sendBuffers: SendBufferPool;
  readonly largeMemory: LargeMemory;
  /** If absent, all data is copied. */
  readonly pipes?: PipePool;
  /** If absent or null, connections have no TLS. */
  readonly tls?: { readonly mode: TlsMode; readonly acceptor: TlsAcceptor } | null;
  /** Whether connections are being offered to another process. */
  isOffering?(): boolean;
  /** Tests replace the usual ones. */
  readonly deadlines?: Partial<Deadlines>;
  readFailed(connection: ReportingConnection, error: unknown, request: ReadRequest): void;
  requestRefused(
    connection: ReportingConnection,
    request: Request,
    errno: number,
    reason: string,
  ): void;
  /** This reactor does not have the connection any more; the socket stays open. */
  offered(connection: ReportingConnection, fd: number, transmission: ResumedTransmission): void;
  closed(connection: ReportingConnection, summary: ConnectionSummary): void;
}
