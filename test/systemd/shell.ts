// Shell commands in the guest, as an operator types them, and waiting for what they say.
import { spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import type { Check } from '../kernel/checks.js';

/** Seconds: an emulated processor takes a while, two minutes for apt-get on a busy machine. */
const LIMIT = 300;

export interface ShellResult {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs commands to their end, whatever becomes of them; they stop at the first that fails. */
export function sh(commands: string, cwd = '/'): ShellResult {
  const { status, stdout, stderr }: SpawnSyncReturns<string> = spawnSync(
    '/bin/bash',
    ['-euo', 'pipefail', '-c', commands],
    { cwd, encoding: 'utf8', timeout: LIMIT * 1000, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  return { code: status ?? -1, stdout: stdout.trim(), stderr: stderr.trim() };
}

/** As {@link sh}, and they must succeed. */
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
