// Other programs: where they are, running them to their end, leaving one behind. Never a shell,
// and no program by name. They run in "/": what goes on must not keep the file system busy that the
// command was called from.

import { spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { delimiter, resolve as absolute } from 'node:path';

/** Where mount(8) and its like are; the PATH of users may leave some of them out. */
const SYSTEM_PATH = ['/usr/sbin', '/usr/bin', '/sbin', '/bin'];
/** Of a program's output no more is kept: it goes into a message. */
const MAX_OUTPUT = 4096;

export interface RunResult {
  /** -1 when a signal ended it, or it could not be run. */
  readonly code: number;
  /** What it said, on standard output and standard error, without line feeds at its end. */
  readonly output: string;
}

/** A program that goes on, when this process has ended too. */
export interface Started {
  readonly pid: number | undefined;
  /** Resolves when it has ended, with what that was: "exit code 1", "SIGKILL". */
  readonly ended: Promise<string>;
  readonly kill: (signal: NodeJS.Signals) => void;
}

export interface Programs {
  /** The path of the first that is there, or null. */
  readonly find: (...names: readonly string[]) => Promise<string | null>;
  readonly run: (path: string, args: readonly string[]) => Promise<RunResult>;
  /** In a session of its own, so that no terminal ends it. `log`: for all that it says. */
  readonly start: (path: string, args: readonly string[], log: number) => Started;
}

export const programs: Programs = { find, run, start };

async function find(...names: readonly string[]): Promise<string | null> {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((each) => each !== '');
  for (const name of names) {
    for (const folder of [...folders, ...SYSTEM_PATH]) {
      const path = absolute(folder, name);
      const usable = await access(path, constants.X_OK).then(
        () => true,
        () => false,
      );
      if (usable) return path;
    }
  }
  return null;
}

function run(path: string, args: readonly string[]): Promise<RunResult> {
  return new Promise((resolve) => {
    let output = '';
    const child = spawn(path, args, {
      cwd: '/',
      stdio: ['ignore', 'pipe', 'pipe'],
      env: inEnglish(),
    });
    const keep = (part: Buffer): void => {
      if (output.length < MAX_OUTPUT) output += part.toString();
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.once('error', ({ message }) => resolve({ code: -1, output: message }));
    child.once('exit', (code, signal) => {
      const end = (): void => {
        resolve({ code: code ?? -1, output: output.trim() || (signal ?? '') });
      };
      // A daemon that it left may hold the pipes open.
      child.once('close', end);
      setTimeout(() => {
        end();
        child.stdout.destroy();
        child.stderr.destroy();
      }, 1000).unref();
    });
  });
}

function start(path: string, args: readonly string[], log: number): Started {
  const child = spawn(path, args, { cwd: '/', stdio: ['ignore', log, log], detached: true });
  const ended = new Promise<string>((resolve) => {
    child.once('error', ({ message }) => resolve(message));
    child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`));
  });
  return {
    pid: child.pid,
    ended,
    kill: (signal) => {
      child.kill(signal);
    },
  };
}

/** Messages are looked at for what to do. */
function inEnglish(): NodeJS.ProcessEnv {
  return { ...process.env, LC_ALL: 'C' };
}
