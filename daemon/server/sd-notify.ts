// Notifies the service manager by systemd's protocol (sd_notify(3), sd_watchdog_enabled(3)): ready, status,
// reloading, stopping, alive, a start that takes longer. Does nothing without a manager.

import { printable } from '../lib/printable.js';
import { thisProcess } from '../native/process.js';

const VARIABLES = ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID'] as const;
/** systemd drops a datagram above 4096 bytes; a UTF-16 unit becomes three bytes at most. */
const MAX_STATUS_LENGTH = 1024;
/** The longest interval of a timer. */
const MAX_INTERVAL_MS = 2 ** 31 - 1;

/** Sends one datagram. @returns its bytes, or -errno */
export type SendDatagram = (path: string, text: string) => number;

/**
 * Every method that notifies returns whether that succeeded; without a manager, it did. Failed notifications are
 * not repeated.
 */
export class SdNotify {
  readonly #socket: string | null;
  /** null: no watchdog, or one that is for another process. */
  readonly #watchdogUsec: number | null;
  readonly #send: SendDatagram;
  #timer: NodeJS.Timeout | null = null;

  private constructor(socket: string | null, watchdogUsec: number | null, send: SendDatagram) {
    this.#socket = socket;
    this.#watchdogUsec = watchdogUsec;
    this.#send = send;
  }

  /**
   * Reads the variables and removes them: a child must not speak for us. Ones that make no sense
   * count as none, because a daemon serves without a manager, too.
   * @param pid of this process; a watchdog for another one is not ours
   */
  static fromEnvironment(
    env: NodeJS.ProcessEnv,
    pid: number,
    send: SendDatagram = (path, text) => thisProcess.notify(path, text),
  ): SdNotify {
    const { NOTIFY_SOCKET: socket, WATCHDOG_USEC: usec, WATCHDOG_PID: forPid } = env;
    for (const name of VARIABLES) delete env[name];
    if (socket === undefined || !/^[/@]./.test(socket)) return new SdNotify(null, null, send);
    const watched = usec !== undefined && (forPid === undefined || forPid === `${pid}`);
    return new SdNotify(socket, watched ? microseconds(usec) : null, send);
  }

  /** Whether there is a manager. */
  get active(): boolean {
    return this.#socket !== null;
  }

  /** After the start, and after a reload, whether that has succeeded or not. */
  ready(status: string): boolean {
    return this.#tell('READY=1', statusLine(status));
  }

  /** A sentence for `systemctl status`. */
  status(text: string): boolean {
    return this.#tell(statusLine(text));
  }

  /** The manager waits for the start at least this long from now on, in microseconds, whatever its time limit is. */
  extendTimeout(usec: number, status: string): boolean {
    return this.#tell(`EXTEND_TIMEOUT_USEC=${usec}`, statusLine(status));
  }

  /** The configuration is being read again; `ready` ends it. */
  reloading(): boolean {
    // The clock is CLOCK_MONOTONIC; with the time, Type=notify-reload knows which SIGHUP is meant.
    const now = process.hrtime.bigint() / 1000n;
    return this.#tell('RELOADING=1', `MONOTONIC_USEC=${now}`);
  }

  stopping(status?: string): boolean {
    return this.#tell('STOPPING=1', ...(status === undefined ? [] : [statusLine(status)]));
  }

  /** Another process is the service from now on. The manager believes any of the service (NotifyAccess=all). */
  mainPid(pid: number): boolean {
    return this.#tell(`MAINPID=${pid}`);
  }

  /**
   * Says that we are alive, now and each half of the time after which the manager would kill us. Does
   * nothing without a watchdog, and does not keep the process running.
   * @param alive asked each time; the manager does not hear from us while the answer is false
   */
  startWatchdog(alive: () => boolean = () => true): void {
    this.close();
    if (this.#watchdogUsec === null) return;
    const beat = () => {
      if (alive()) this.#tell('WATCHDOG=1');
    };
    const half = Math.floor(this.#watchdogUsec / 2 / 1000);
    this.#timer = setInterval(beat, Math.min(Math.max(half, 1), MAX_INTERVAL_MS));
    this.#timer.unref();
    beat();
  }

  /**
   * The variables for a process that takes over from us. They name no process for the watchdog: they
   * are written before there is one.
   */
  environment(): Record<string, string> {
    if (this.#socket === null) return {};
    return {
      NOTIFY_SOCKET: this.#socket,
      ...(this.#watchdogUsec !== null && { WATCHDOG_USEC: `${this.#watchdogUsec}` }),
    };
  }

  /** Ends the watchdog's beats, as when another process has taken over. */
  close(): void {
    if (this.#timer) clearInterval(this.#timer);
    this.#timer = null;
  }

  #tell(...lines: readonly string[]): boolean {
    return this.#socket === null || this.#send(this.#socket, lines.join('\n')) >= 0;
  }
}

/** One line, whatever the text holds: names of exports and files are in it. */
function statusLine(text: string): string {
  const line = printable(text).slice(0, MAX_STATUS_LENGTH);
  // The cut may have left half of a character.
  return `STATUS=${line.replace(/[\ud800-\udbff]$/, '')}`;
}

function microseconds(text: string): number | null {
  const value = /^\d+$/.test(text) ? Number(text) : 0;
  return Number.isSafeInteger(value) && value > 0 ? value : null;
}
