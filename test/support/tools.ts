// Programs that tests need and a machine may not have: found, run, or reported by name. It never installs any.
import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Test } from 'tap';

/** Servers are here, where the PATH of a user does not look. */
const SERVERS = '/usr/sbin';

/** The path of a program, or null. */
export function findTool(name: string): string | null {
  for (const folder of [...(process.env['PATH'] ?? '').split(delimiter), SERVERS]) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      continue;
    }
  }
  return null;
}

/** Whether all programs are installed. Otherwise the test is skipped, with the missing ones on stderr too. */
export function requireTool(t: Test, ...names: string[]): boolean {
  const missing = names.filter((name) => findTool(name) === null);
  if (missing.length === 0) return true;
  const message = `NOT TESTED, not installed: ${missing.join(', ')}`;
  console.error(`${t.fullname}: ${message}`);
  t.pass(names.join(' and '), { skip: message });
  return false;
}

export interface ToolResult {
  /** -1 if a signal ended it. */
  code: number;
  stdout: string;
  stderr: string;
}

export interface ToolOptions {
  input?: string;
  /** Milliseconds until it is killed. */
  timeout?: number;
  cwd?: string;
}

/** Runs a program to its end, with any exit code; its output is text. */
export function runTool(
  name: string,
  args: readonly string[],
  { input = '', timeout = 180_000, cwd }: ToolOptions = {},
): Promise<ToolResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(name, args, { timeout, killSignal: 'SIGKILL', ...(cwd && { cwd }) });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on('data', (part: Buffer) => out.push(part));
    child.stderr.on('data', (part: Buffer) => err.push(part));
    child.once('error', reject);
    child.once('close', (code) => {
      const [stdout, stderr] = [out, err].map((parts) => Buffer.concat(parts).toString()) as [
        string,
        string,
      ];
      resolve({ code: code ?? -1, stdout, stderr });
    });
    child.stdin.on('error', () => undefined); // the program need not read its input
    child.stdin.end(input);
  });
}

/** The same for a program that must succeed. @returns its output. @throws Error with its output */
export async function mustRun(
  name: string,
  args: readonly string[],
  options: ToolOptions = {},
): Promise<string> {
  const { code, stdout, stderr } = await runTool(name, args, options);
  if (code === 0) return stdout;
  throw new Error(`${name} ${args.join(' ')}: exit ${code}: ${stderr}${stdout}`);
}
