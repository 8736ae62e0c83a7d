// Finds other programs, runs them, or starts one that outlives this process. Uses no shell, and runs
// programs by their paths only. They run in "/", so that one that keeps running does not keep the file
// system of our working directory busy.

import { spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { delimiter, resolve as absolute } from 'node:path';

/** Folders of mount(8) and similar programs. The PATH of a user may lack some of them. */
const SYSTEM_PATH = ['/usr/sbin', '/usr/bin', '/sbin', '/bin'];
/** UTF-16 units of a program's output that go into a message. Later output is dropped. */
const MAX_OUTPUT = 4096;

export interface RunResult {
  /** -1 if a signal ended the program, or it could not be run. */
  readonly code: number;
  /** Its standard output and standard error, trimmed. */
  readonly output: string;
}

/** A program that may outlive this process. */
export interface Started {
  readonly pid: number | undefined;
  /** Resolves when the program has ended, with the way it ended: "exit code 1", "SIGKILL". */
  readonly ended: Promise<string>;
  readonly kill: (signal: NodeJS.Signals) => void;
}

export interface Programs {
  /** The path of the first of these programs that is installed, or null. */
  readonly find: (...names: readonly string[]) => Promise<string | null>;
  readonly run: (path: string, args: readonly string[]) => Promise<RunResult>;
  /** Starts a program in its own session, so that no terminal ends it. `log`: fd for its output. */
  readonly start: (path: string, args: readonly string[], log: number) => Started;
}

export const programs: Programs = { find, run, start };

async function find(...names: readonly string[]): Promise<string | null> {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
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
      // A daemon that the program started may keep the pipes open: do not wait for it.
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

/** explain.ts looks for English messages. */
function inEnglish(): NodeJS.ProcessEnv {
  return { ...process.env, LC_ALL: 'C' };
}
