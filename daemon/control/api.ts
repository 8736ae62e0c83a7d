// The control API: what is asked of a running daemon over its control socket, and what it answers.
// Types, paths and limits only; requests.ts checks what is asked. HTTP/1.1 with JSON bodies, so that curl
// can speak it (docs/control-api.md).

import type { DeviceSettings } from '../kernel/device-settings.js';

export const API = {
  status: '/v1/status',
  devices: '/v1/devices',
  reload: '/v1/reload',
  upgrade: '/v1/upgrade',
} as const;

/** A request's body is longer than this only by mistake. */
export const MAX_BODY_LENGTH = 1024 * 1024;

/** How many devices a daemon attaches, unless `serve --max-devices` says otherwise. */
export const DEFAULT_MAX_DEVICES = 256;
/** The number in /dev/nbdX has 16 bits. */
export const MAX_MAX_DEVICES = 65536;
/** DELETE /v1/devices/{id or nbdX}?force=1&onClose=1 */
export interface DetachRequest {
  /** Although something uses the device; it sees errors from then on. */
  readonly force?: boolean;
  /** The kernel lets go of the device when its last user does. */
  readonly onClose?: boolean;
}

/**
 * connected: served. waiting: the kernel waits for new connections, which are on their way.
 * failed: it does not wait any longer, every read fails; detach it.
 */
export type DeviceState = 'connected' | 'waiting' | 'failed';

export interface DeviceStatus extends DeviceSettings {
  readonly id: string;
  readonly device: string;
  readonly state: DeviceState;
  /** null for an image that is no export. */
  readonly export: string | null;
  /** How people call the image. */
  readonly image: string;
  /** Only that one of the image; null: all of it. */
  readonly partition: number | null;
  /** The kernel lets go of it with its last user, as after `mount`. */
  readonly onClose: boolean;
  readonly size: number;
  /** ISO 8601. */
  readonly since: string;
  readonly liveConnections: number;
  readonly requests: number;
  readonly errors: number;
  readonly bytesSent: number;
  /** How often the device got new connections in place of dead ones. */
  readonly reconnects: number;
}

/** The answer to an POST /v1/devices. */
export interface AttachAnswer extends DeviceStatus {
  /** The device had the image already; nothing was changed. */
  readonly reused: boolean;
}

/** Why an export is not served. */
export interface ExportProblem {
  /** One of docs/errors.md. */
  readonly code: string;
  readonly message: string;
  /** ISO 8601: since when it fails. */
  readonly since: string;
  /** How often it was tried, and how long after the last try the next one comes. */
  readonly tries: number;
  readonly retrySeconds: number;
}

export interface ExportStatus {
  readonly name: string;
  /** opening: for the first time, and it takes long. */
  readonly state: 'served' | 'opening' | 'failed';
  /** How people call the image; of a failed export its paths. */
  readonly image: string;
  /** Empty, and the size 0, when it is not served. */
  readonly description: string;
  readonly size: number;
  /** null when it is served. */
  readonly problem: ExportProblem | null;
}

/** An image file whose reads have not come back from the kernel within the read deadline. */
export interface StuckFileStatus {
  readonly file: string;
  /** How many threads wait for it. */
  readonly threads: number;
  /** Since the oldest of these reads was asked for. */
  readonly seconds: number;
  /** Exports that are served from it. */
  readonly exports: readonly string[];
}

/** GET /v1/status */
export interface DaemonStatus {
  readonly pid: number;
  readonly version: string;
  readonly since: string;
  /** NBD URIs. */
  readonly listening: readonly string[];
  /** Connections of clients, without those of devices. */
  readonly clients: number;
  /** How many exports there are in each state. */
  readonly images: { readonly served: number; readonly opening: number; readonly failed: number };
  readonly exports: readonly ExportStatus[];
  readonly devices: readonly DeviceStatus[];
  /** The longest stuck first. */
  readonly stuckFiles: readonly StuckFileStatus[];
}

/** The body of every answer that is no success. */
export interface ErrorAnswer {
  readonly code: string;
  readonly message: string;
}
