// Exports as plain values that can be posted to the reactors. Types only.

import type { DiskSpec } from './spec.js';

/** An export that is served. */
export interface ExportSpec {
  readonly name: string;
  readonly description: string;
  /** The key of its image while that is open: exports of the same image have the same key. */
  readonly key: string;
  readonly disk: DiskSpec;
  /** Clients do not see it: it is there for an attached device. */
  readonly hidden: boolean;
}

/** An export that is not served, because its image cannot be opened. */
export interface FailedExportSpec {
  readonly name: string;
  /** The code of the error: all that clients learn of the reason. */
  readonly code: string;
}
