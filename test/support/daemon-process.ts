// The real daemon as a child process: started, waited for, watched, ended by SIGTERM. It does not speak NBD itself.
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { NetConnectOpts } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Test } from 'tap';
import { tick } from './nbd-client.js';
import { runTool, type ToolResult } from './tools.js';
import { measured, PROGRAM_LINE } from './program.js';

const READY_TIMEOUT = 120_000;
const EXIT_TIMEOUT = 120_000;
/** Each part of the log is seen so much later: with it, a test that reads the log without waiting for its line fails. */
const LATE_LOG_MS = Number(process.env.LATE_LOG_MS ?? 0);

/** A folder for one test; its path is short enough for a socket in it, which t.testdir's may not be. */
export function shortFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'obd-'));
  t.teardown(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

/**
 * The daemon's command line, without the options that tap adds to every process, unless coverage is
 * measured: they take longer to load than the daemon.
 * @param main a bundled program, if not the one that all tests run
 */
export function commandLine(
  args: readonly string[],
  main: string | null = null,
): [string, ...string[]] {
  const node = [...(main === null ? PROGRAM_LINE : [process.execPath, main]), ...args];
  return ['env', ...(measured && main === null ? [] : ['-u', 'NODE_OPTIONS']), ...node];
}

/** Runs the command line to its end. */
export function runDaemon(args: readonly string[], cwd?: string): Promise<ToolResult> {
  const [program, ...rest] = commandLine(args);
  return runTool(program, rest, { timeout: 120_000, ...(cwd && { cwd }) });
}

export interface DaemonOptions {
  /** Listen addresses in addition to the Unix socket; with tcp://...:0 the kernel chooses the port. */
  listen?: readonly string[];
  /** The path of the socket, if it is not in a temporary folder. */
  socketPath?: string;
  /** How many listeners come from elsewhere; then the command line names only those of `listen`. */
  elsewhere?: number;
  /** Listening sockets that are passed to the daemon as systemd does; they stay open here. */
  inherit?: { fds: readonly number[]; names?: string };
  /** A limit that prlimit sets. */
  openFiles?: number;
  /** main.js of a bundled program, if not the one that all tests run. */
  main?: string;
  /** Words before the command line, which become the daemon. */
  prefix?: readonly string[];
  /** Of the environment, besides those of this process. */
  variables?: Readonly<Record<string, string>>;
}

/** The command line with LISTEN_FDS etc.; a shell inserts its own pid, and then becomes the daemon. */
export function activatedLine(
  line: readonly string[],
  variables: Readonly<Record<string, string>>,
): [string, ...string[]] {
  const words = Object.entries(variables).map(([name, value]) => `${name}=${value}`);
  return ['sh', '-c', 'exec env LISTEN_PID=$$ "$@"', 'sh', ...words, ...line];
}

export class DaemonProcess {
  readonly socketPath: string;
  readonly child: ChildProcess;
  #stderr = '';
  readonly #exit: Promise<number | null>;

  private constructor(child: ChildProcess, socketPath: string) {
    this.child = child;
    this.socketPath = socketPath;
    child.stderr?.on('data', (part: Buffer) => {
      if (LATE_LOG_MS === 0) this.#stderr += part.toString();
      else setTimeout(() => (this.#stderr += part.toString()), LATE_LOG_MS);
    });
    this.#exit = new Promise((resolve) => {
      child.once('close', (code) => {
        if (LATE_LOG_MS === 0) resolve(code);
        else setTimeout(resolve, LATE_LOG_MS, code);
      });
    });
  }

  /** `overlaybd-nbd serve ...args` on a Unix socket; the test fails if it does not become ready. */
  static async start(
    t: Test,
    args: readonly string[],
    options: DaemonOptions = {},
  ): Promise<DaemonProcess> {
    const { listen = [], elsewhere, inherit: { fds = [] } = {} } = options;
    const daemon = DaemonProcess.launch(t, args, options);
    const own = elsewhere === undefined ? listen.length + 1 : listen.length;
    await daemon.#ready(own + (elsewhere ?? fds.length));
    return daemon;
  }

  /** The same; waits for nothing. */
  static launch(
    t: Test,
    args: readonly string[],
    { listen = [], socketPath = join(shortFolder(t), 'nbd.sock'), ...from }: DaemonOptions = {},
  ): DaemonProcess {
    const { elsewhere, inherit: { fds = [], names } = {} } = from;
    const addresses = elsewhere === undefined ? [`unix://${socketPath}`, ...listen] : listen;
    const listening = addresses.flatMap((each) => ['--listen', each]);
    const { openFiles } = from;
    const limited =
      openFiles === undefined ? [] : ['prlimit', `--nofile=${openFiles}:${openFiles}`];
    // Not the default state folder, which may have devices of a real daemon.
    const state = args.includes('--state') ? [] : ['--state', join(shortFolder(t), 'state')];
    const serve = ['serve', ...args, ...state, ...listening];
    const { prefix = [] } = from;
    const line = [...prefix, ...limited, ...commandLine(serve, from.main)];
    const inherited = { LISTEN_FDS: `${fds.length}`, ...(names && { LISTEN_FDNAMES: names }) };
    const [program = '', ...rest] = fds.length > 0 ? activatedLine(line, inherited) : line;
    const child = spawn(program, rest, {
      stdio: ['ignore', 'ignore', 'pipe', ...fds],
      env: { ...process.env, ...from.variables },
    });
    const daemon = new DaemonProcess(child, socketPath);
    t.teardown(() => {
      child.kill('SIGKILL');
    });
    return daemon;
  }

  /** Everything that was logged so far. */
  get log(): string {
    return this.#stderr;
  }

  /** Logged lines that match. */
  lines(pattern: RegExp): string[] {
    return this.#stderr.split('\n').filter((line) => pattern.test(line));
  }

  /** Waits for this many lines that match. */
  async waitForLines(pattern: RegExp, count = 1, timeout = 120_000): Promise<string[]> {
    const deadline = performance.now() + timeout;
    for (;;) {
      const lines = this.lines(pattern);
      if (lines.length >= count) return lines;
      if (performance.now() > deadline) {
        throw new Error(`${lines.length} of ${count} lines match ${pattern}:\n${this.log}`);
      }
      await tick(10);
    }
  }

  get unix(): NetConnectOpts {
    return { path: this.socketPath };
  }

  /** The first TCP address on which it listens. */
  get tcp(): NetConnectOpts & { host: string; port: number } {
    const match = /ready: nbds?:\/\/(?:\[([^\]]+)\]|([^:\s]+)):(\d+)/.exec(this.log);
    if (!match) throw new Error('the daemon does not listen on TCP');
    return { host: match[1] ?? match[2] ?? '', port: Number(match[3]) };
  }

  /** In the form for clients. */
  unixUri(name = ''): string {
    return `nbd+unix:///${encodeURIComponent(name)}?socket=${this.socketPath}`;
  }

  tcpUri(name = ''): string {
    const { host, port } = this.tcp;
    return `nbd://${host.includes(':') ? `[${host}]` : host}:${port}/${encodeURIComponent(name)}`;
  }

  /** Resident memory in bytes. */
  residentBytes(): number {
    const status = readFileSync(`/proc/${this.child.pid}/status`, 'latin1');
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024;
  }

  /** The number of open descriptors. */
  async openFiles(): Promise<number> {
    const { stdout } = await runTool('ls', [`/proc/${this.child.pid}/fd`]);
    return stdout.trim().split('\n').length;
  }

  /** The exit code, or null if a signal ended it. @throws if it does not end in time */
  async exited(timeout = EXIT_TIMEOUT): Promise<number | null> {
    const abort = new AbortController();
    const late = pause(timeout, 'late' as const, { signal: abort.signal });
    late.catch(() => undefined); // the error matters only if the process does not end
    const code = await Promise.race([this.#exit, late]);
    abort.abort();
    if (code === 'late') throw new Error(`the daemon runs on:\n${this.log}`);
    return code;
  }

  /** Sends SIGTERM and checks: exit code 0, no bug in the log, no socket left. @returns milliseconds */
  async stop(t: Test): Promise<number> {
    const begin = performance.now();
    this.child.kill('SIGTERM');
    const code = await this.exited();
    t.equal(code, 0, 'the daemon exits with 0');
    if (code !== 0) t.comment(`signal ${this.child.signalCode}; its log:\n${this.log}`);
    t.notMatch(this.log, /\bBUG\b|thread died|\.js:\d+/, 'no bug in the log');
    return performance.now() - begin;
  }

  async #ready(count: number): Promise<void> {
    const over = this.#exit.then((code) => {
      throw new Error(`the daemon exited with ${code}:\n${this.log}`);
    });
    over.catch(() => undefined); // not awaited: it ends some time later
    await Promise.race([this.waitForLines(/ready: /, count, READY_TIMEOUT), over]);
  }
}
