// The daemon under a supervisor that restarts it when it dies and follows it through upgrades, as systemd would; and
// the command line as users type it. It does not know the kernel.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { DeviceStatus } from '../../daemon/control/api.js';
import { ControlClient } from '../../daemon/control/client.js';
import { PROGRAM } from '../support/program.js';
import { runTool, type ToolResult } from '../support/tools.js';
import { Commands } from './commands.js';

/** Milliseconds: an emulated processor is slow. */
const READY_TIMEOUT = 90_000;
/** systemd's default for RestartSec, in milliseconds. */
const RESTART_PAUSE = 100;
const POLL = 25;

const commands = new Commands();

export interface DaemonOptions {
  /** Words before the command line: a program that changes the user. */
  prefix?: readonly string[];
  env?: Readonly<Record<string, string>>;
  /** The state folder, if it is not the daemon's own. */
  state?: string;
}

export class Daemon {
  readonly folder = mkdtempSync(join(tmpdir(), 'obd-daemon-'));
  readonly socketPath = join(this.folder, 'nbd.sock');
  readonly state: string;
  readonly control: ControlClient;
  readonly #args: readonly string[];
  readonly #options: DaemonOptions;
  #pid: number | null = null;
  #restarts = false;
  #watched: Promise<void> = Promise.resolve();
  #log = '';

  constructor(args: readonly string[], options: DaemonOptions = {}) {
    this.#args = args;
    this.#options = options;
    this.state = options.state ?? join(this.folder, 'state');
    this.control = new ControlClient(join(this.state, 'control.sock'));
  }

  /** Everything that all its processes have logged so far. */
  get log(): string {
    return this.#log;
  }

  /** Starts it if it is not running, and waits until it is ready. @returns milliseconds */
  async start(): Promise<number> {
    this.#restarts = true;
    if (this.#pid === null) this.#spawn();
    return this.ready();
  }

  /** Waits until the current process, or the next one, answers. @returns milliseconds */
  async ready(): Promise<number> {
    const begin = performance.now();
    for (;;) {
      const status = await this.control.status().catch(() => null);
      if (status && status.pid === this.#pid) return performance.now() - begin;
      if (performance.now() - begin > READY_TIMEOUT) throw new Error(`not ready:\n${this.#log}`);
      await pause(POLL);
    }
  }

  /** Its port on 127.0.0.1. */
  get port(): string {
    const port = this.#log
      .match(/ready: nbd:\/\/127\.0\.0\.1:(\d+)/g)
      ?.at(-1)
      ?.split(':')
      .at(-1);
    if (port === undefined) throw new Error(`no TCP port:\n${this.#log}`);
    return port;
  }

  /** Kills it; the supervisor starts it again, unless told not to. */
  async kill({ stayAway = false } = {}): Promise<void> {
    if (this.#pid === null) throw new Error('there is nothing to kill');
    this.#restarts = !stayAway;
    const { control } = this;
    process.kill(this.#pid, 'SIGKILL');
    // Not the socket of the dead process.
    while ((await control.status().catch(() => null))?.pid === this.#pid) await pause(POLL);
    if (stayAway) await this.#watched;
  }

  /** Follows a process that has taken over. */
  async follow(pid: number): Promise<void> {
    this.#restarts = false;
    await this.#watched;
    this.#watch(pid);
    this.#restarts = true;
  }

  get pid(): number | null {
    return this.#pid;
  }

  /**
   * Waits until it has no devices: readers learn of a disconnected device earlier than the daemon. @returns those left
   */
  async devicesLeft(): Promise<readonly DeviceStatus[]> {
    for (const end = performance.now() + READY_TIMEOUT; ; await pause(POLL)) {
      const { devices } = await this.control.status();
      if (devices.length === 0 || performance.now() > end) return devices;
    }
  }

  async stop(): Promise<void> {
    this.#restarts = false;
    if (this.#pid !== null) process.kill(this.#pid, 'SIGTERM');
    await this.#watched;
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** `overlaybd-nbd command ...` with this daemon's state folder, in a process that runs already. */
  run(command: string, ...args: readonly string[]): Promise<ToolResult> {
    return commands.run([command, '--state', this.state, ...args], READY_TIMEOUT);
  }

  /** The same in a process of its own, as users run it. */
  runProgram(command: string, ...args: readonly string[]): Promise<ToolResult> {
    return runTool(process.execPath, [PROGRAM, command, '--state', this.state, ...args], {
      timeout: READY_TIMEOUT,
    });
  }

  #spawn(): void {
    const { prefix = [], env = {} } = this.#options;
    const listen = ['--listen', `unix://${this.socketPath}`, '--listen', 'tcp://127.0.0.1:0'];
    const serve = [PROGRAM, 'serve', '--state', this.state, ...this.#args, ...listen];
    const [program = '', ...args] = [...prefix, process.execPath, ...serve];
    const child = spawn(program, args, {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, ...env },
    });
    child.stderr.on('data', (part: Buffer) => {
      this.#log += part.toString();
    });
    if (child.pid !== undefined) this.#watch(child.pid);
  }

  #watch(pid: number): void {
    this.#pid = pid;
    this.#watched = this.#untilGone(pid);
  }

  async #untilGone(pid: number): Promise<void> {
    while (isRunning(pid)) await pause(POLL);
    this.#pid = null;
    if (!this.#restarts) return;
    await pause(RESTART_PAUSE);
    if (this.#restarts) this.#spawn();
  }
}

/** A process that has taken over is not a child of this one, so its end must be polled. */
function isRunning(pid: number): boolean {
  if (!existsSync(`/proc/${pid}/stat`)) return false;
  try {
    return !/^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}
