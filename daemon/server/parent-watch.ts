// Tells when the process that started this one is gone. A tool that fails does not always end the server
// that it has started for itself: libnbd's, for one, leave it behind when a read fails.
//
// Not PR_SET_PDEATHSIG: that is about the thread that started us, which in a program with threads may end
// long before the program does.

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
 * @param listening listening ones that came from whoever started us: it made them, and may have been gone
 * before we could ask for our parent
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
