// Decides whether another process can replace this one. It cannot if the end of this process ends the
// container or the unit.

import { readFileSync } from 'node:fs';
import { OverlaybdError } from '../errors.js';
import { printable } from '../lib/printable.js';

/** Init programs that end when their child ends, and end the container with it. */
const ENDS_WITH_US = [
  'tini',
  'docker-init',
  'podman-init',
  'dumb-init',
  'catatonit',
  // The parent in a container that shares the process namespace of the host.
  'containerd-shim',
  'conmon',
];

/** Process 1 of a pod whose containers share a process namespace. It does not start their programs. */
const POD_INIT = 'pause';

/** Names of a process 1 that keeps running when others end: that of systemd, System V and busybox. */
const LASTING_INITS = ['systemd', 'init'];

/** The facts that decide. A test passes its own. */
export interface Supervision {
  readonly pid: number;
  /** At the start, before this process could be orphaned. 0 if the parent is in another process namespace. */
  readonly parent: number;
  /** Name of the parent process, or null. */
  readonly parentName: string | null;
  /** Name of process 1, or null. */
  readonly init: string | null;
  /** Whether we are in the session of process 1: its children are, orphans hardly ever are. */
  readonly isInitsSession: boolean;
  /** Whether the service manager accepts another main process. */
  readonly hasManager: boolean;
  /** Whether systemd has started us. */
  readonly isService: boolean;
}

const parent = process.ppid;
const parentName = nameOf(parent);

export function supervisionNow(hasManager: boolean): Supervision {
  const { pid, env } = process;
  const isService = 'INVOCATION_ID' in env;
  const isInitsSession = sessionOf(pid) !== null && sessionOf(pid) === sessionOf(1);
  return { pid, parent, parentName, init: nameOf(1), isInitsSession, hasManager, isService };
}

/** @throws OverlaybdError UNSUPPORTED if our end would end the successor too */
export function mustBeReplaceable(supervision: Supervision): void {
  const { pid, parent: startedBy, parentName: starter, init } = supervision;
  const container = 'replace the container instead (docs/containers.md)';
  if (pid === 1) {
    throw refused(`this daemon is process 1 of its container, which ends with it: ${container}`);
  }
  if (starter !== null && ENDS_WITH_US.includes(starter)) {
    throw refused(`${starter} ends the container when this daemon ends: ${container}`);
  }
  if (startedBy === 0 && init === POD_INIT) {
    throw refused(
      `this daemon is the first program of its container, which ends with it: ${container}`,
    );
  }
  if (startedBy !== 1 || supervision.hasManager) return;
  if (init !== null && !LASTING_INITS.includes(init) && supervision.isInitsSession) {
    const facts = `process 1, ${printable(init)}, has started this daemon`;
    throw refused(`${facts}, and may end the container when this daemon ends: ${container}`);
  }
  if (supervision.isService) {
    throw refused(
      'the unit of this daemon ends with it: the unit needs Type=notify and NotifyAccess=all (docs/systemd.md)',
    );
  }
}

function refused(why: string): OverlaybdError {
  return new OverlaybdError('UNSUPPORTED', `upgrade: ${why}`);
}

function nameOf(pid: number): string | null {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    return null;
  }
}

/** The sixth field of /proc/PID/stat (proc(5)). Skips the name, which may contain any character. */
function sessionOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[3] ?? null;
  } catch {
    return null;
  }
}
