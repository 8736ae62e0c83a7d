// Notices when the process that started this one has ended. A tool that fails does not always end the server that
// it has started: those of libnbd do not when a read fails.
//
// Does not use PR_SET_PDEATHSIG: that watches the thread that started us, which may end long before its program.

import { sockets } from '../native/socket.js';

const LOOK_MS = 500;

/** What is known of processes; other than the system in tests. */
export interface Processes {
  readonly pid: number;
  parent(): number;
  isAlive(pid: number): boolean;
}

const system: Processes = {
  pid: process.pid,
  parent: () => process.ppid,
  isAlive: (pid) => {
    try {
      process.kill(pid, 0);
      return true;
    } catch (error) {
      return (error as NodeJS.ErrnoException).code !== 'ESRCH';
    }
  },
};

/**
 * @param listening the passed listening sockets: the process that started us made them, and may have ended before
 *   we could ask for our parent
 * @param gone called once
 */
export function watchParent(
  listening: readonly number[],
  gone: () => void,
  processes: Processes = system,
): { stop(): void } {
  const parent = processes.parent();
  // systemd-socket-activate makes them and becomes us; 0 is a process of another namespace.
  const makers = listening
    .map((fd) => sockets.peerPid(fd))
    .filter((pid) => pid > 0 && pid !== processes.pid);
  const look = (): void => {
    if (processes.parent() === parent && makers.every((pid) => processes.isAlive(pid))) return;
    clearInterval(timer);
    gone();
  };
  const timer = setInterval(look, LOOK_MS);
  timer.unref();
  return { stop: () => clearInterval(timer) };
}
