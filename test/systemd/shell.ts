// Shell commands in the guest, as an operator types them, and waiting for their results.
import { spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import type { Check } from '../kernel/checks.js';

/** Seconds: an emulated processor is slow; apt-get takes two minutes on a busy machine. */
const LIMIT = 300;

export interface ShellResult {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs commands to their end without throwing; they stop at the first failure. */
export function sh(commands: string, cwd = '/'): ShellResult {
  const { status, stdout, stderr }: SpawnSyncReturns<string> = spawnSync(
    '/bin/bash',
    ['-euo', 'pipefail', '-c', commands],
    { cwd, encoding: 'utf8', timeout: LIMIT * 1000, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  return { code: status ?? -1, stdout: stdout.trim(), stderr: stderr.trim() };
}

/** Like {@link sh}, and the commands must succeed. */
export function must(check: Check, what: string, commands: string, cwd?: string): ShellResult {
  const result = sh(commands, cwd);
  check.ok(result.code === 0, what, `${commands}\n${JSON.stringify(result, null, 2)}`);
  return result;
}

/** Waits until the commands succeed. @returns seconds */
export async function until(
  check: Check,
  what: string,
  commands: string,
  seconds = LIMIT,
): Promise<number> {
  const begin = performance.now();
  for (;;) {
    const result = sh(commands);
    const past = (performance.now() - begin) / 1000;
    if (result.code === 0) {
      check.ok(true, what);
      return past;
    }
    if (past > seconds) {
      check.ok(false, what, `not within ${seconds} s: ${commands}\n${JSON.stringify(result)}`);
      return past;
    }
    await pause(250);
  }
}
