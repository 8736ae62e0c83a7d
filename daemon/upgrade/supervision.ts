// Whether this process can be replaced by another one: not if whoever watches it takes its end for the
// end of everything, as a container does with its first process.

import { readFileSync } from 'node:fs';
import { OverlaybdError } from '../errors.js';
import { printable } from '../lib/printable.js';

/** Programs that end when the one that they have started does, and with them the container. */
const ENDS_WITH_US = [
  'tini',
  'docker-init',
  'podman-init',
  'dumb-init',
  'catatonit',
  // Of a container in the process namespace of the host.
  'containerd-shim',
  'conmon',
];

/** Process 1 of a pod whose containers share a process namespace: what each starts comes from outside of it. */
const POD_INIT = 'pause';

/** What process 1 is called where it stays, whoever ends: systemd, and that of System V and of busybox. */
const LASTING_INITS = ['systemd', 'init'];

/** What is looked at; other than this process's own in tests. */
export interface Supervision {
  readonly pid: number;
  /** At the start; whoever is orphaned later was not started by process 1. 0: not of our process namespace. */
  readonly parent: number;
  /** What the parent is called, or null. */
  readonly parentName: string | null;
  /** What process 1 is called, or null. */
  readonly init: string | null;
  /** Whether we are in the session of process 1, as what it has started is, and hardly what was orphaned. */
  readonly isInitsSession: boolean;
  /** Whether a service manager follows us to another process. */
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

/** @throws OverlaybdError UNSUPPORTED when our end would end the successor, too */
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
    throw refused(`${facts}, and may end the container when it ends: ${container}`);
  }
  if (supervision.isService) {
    throw refused(
      'systemd takes the end of this daemon for the end of its unit: the unit needs Type=notify and NotifyAccess=all (docs/systemd.md)',
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

/** The sixth field of proc(5)'s stat, behind the name, which may have anything in it. */
function sessionOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[3] ?? null;
  } catch {
    return null;
  }
}
