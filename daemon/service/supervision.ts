// Whether this process can be replaced by another one: not if whoever watches it takes its end for the
// end of everything, as a container does with its first process.

import { readFileSync } from 'node:fs';
import { OverlaybdError } from '../errors.js';

/** Init processes of containers that end with the one program that they start. */
const CONTAINER_INITS = ['tini', 'docker-init', 'dumb-init', 'catatonit'];

/** What is looked at; other than this process's own in tests. */
export interface Supervision {
  readonly pid: number;
  /** At the start; whoever is orphaned later was not started by process 1. */
  readonly parent: number;
  /** What process 1 is called, or null. */
  readonly init: string | null;
  /** Whether a service manager follows us to another process. */
  readonly hasManager: boolean;
  /** Whether systemd has started us. */
  readonly isService: boolean;
}

const parent = process.ppid;

export function supervisionNow(hasManager: boolean): Supervision {
  const { pid, env } = process;
  return { pid, parent, init: nameOfInit(), hasManager, isService: 'INVOCATION_ID' in env };
}

/** @throws OverlaybdError UNSUPPORTED when our end would end the successor, too */
export function mustBeReplaceable(supervision: Supervision): void {
  const { pid, parent: startedBy, init, hasManager, isService } = supervision;
  const container = 'replace the container instead (docs/containers.md)';
  if (pid === 1) {
    throw refused(`this daemon is process 1 of its container, which ends with it: ${container}`);
  }
  if (startedBy !== 1 || hasManager) return;
  if (init !== null && CONTAINER_INITS.includes(init)) {
    throw refused(`${init} ends the container when this daemon ends: ${container}`);
  }
  if (isService) {
    throw refused(
      'systemd takes the end of this daemon for the end of its unit: the unit needs Type=notify and NotifyAccess=all (docs/systemd.md)',
    );
  }
}

function refused(why: string): OverlaybdError {
  return new OverlaybdError('UNSUPPORTED', `upgrade: ${why}`);
}

function nameOfInit(): string | null {
  try {
    return readFileSync('/proc/1/comm', 'utf8').trim();
  } catch {
    return null;
  }
}
