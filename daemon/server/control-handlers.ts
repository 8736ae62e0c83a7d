// What the control API can have a daemon do, put together from its parts.

import type { DaemonStatus } from '../control/api.js';
import type { ControlHandlers } from '../control/routes.js';
import type { DeviceManager } from '../devices/manager.js';
import { OverlaybdError } from '../errors.js';
import type { FetchStatus } from '../fetch/status.js';
import type { Logger } from '../log/logger.js';
import type { Daemon } from './daemon.js';
import type { ExportChanges } from './export-changes.js';
import { warnOfTimeouts } from './read-deadline.js';
import type { RemoteOperations } from './remote-handlers.js';
import { checkWanted } from './wanted-settings.js';

interface HandlerParts {
  readonly daemon: Daemon;
  /** null: there is no state folder. */
  readonly devices: DeviceManager | null;
  readonly changes: ExportChanges | null;
  readonly log: Logger;
  readonly status: () => Promise<DaemonStatus>;
  readonly fetchStatus: () => Promise<FetchStatus | null>;
  readonly reload: () => Promise<void>;
  readonly upgrade: () => Promise<number>;
}

export function controlHandlers(parts: HandlerParts): ControlHandlers {
  const { daemon, fetchStatus, log } = parts;
  const devices = needed(parts.devices);
  const changes = needed(parts.changes);
  let loading: Promise<RemoteOperations> | null = null;
  // Loaded when it is first asked: most daemons are not.
  const remote = (): Promise<RemoteOperations> =>
    (loading ??= import('./remote-handlers.js').then(({ remoteOperations }) =>
      remoteOperations(daemon, log, fetchStatus),
    ));
  return {
    status: () => parts.status(),
    attach: async (request) => {
      checkWanted(request.registries ?? {}, daemon.registries);
      const answer = await devices().attach(request);
      warnOfTimeouts([answer], log);
      return answer;
    },
    detach: (device, request) => devices().detach(device, request),
    reload: () => parts.reload(),
    upgrade: () => parts.upgrade(),
    exports: () => changes().list(),
    export: (name) => changes().one(name),
    addExport: (name, request) => changes().add(name, request),
    removeExport: (name) => changes().remove(name),
    cache: async () => (await remote()).cache(),
    removeFromCache: async (digest) => (await remote()).removeFromCache(digest),
    collectCache: async () => (await remote()).collectCache(),
    verifyCache: async () => (await remote()).verifyCache(),
    hosts: async () => (await remote()).hosts(),
    warmJobs: async () => (await remote()).warmJobs(),
    warm: async (request) => (await remote()).warm(request),
    warmJob: async (id) => (await remote()).warmJob(id),
    cancelWarm: async (id) => (await remote()).cancelWarm(id),
    trace: async () => (await remote()).trace(),
    startTrace: async (request) => (await remote()).startTrace(request),
    stopTrace: async () => (await remote()).stopTrace(),
  };
}

/** @returns a function that throws OverlaybdError UNSUPPORTED if there is no such part */
function needed<T>(part: T | null): () => T {
  return () => {
    if (part !== null) return part;
    throw new OverlaybdError('UNSUPPORTED', 'this daemon has no state folder');
  };
}
