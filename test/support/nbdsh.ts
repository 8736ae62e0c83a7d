// Runs Python in libnbd's nbdsh and returns its output as JSON; it does not know the server.
import { dirname, join } from 'node:path';
import type { Test } from 'tap';
import { findTool, requireTool, runTool } from './tools.js';

/** Definitions for the scripts below, in addition to nbdsh's `h`: JSON, and an error as a value. */
const PRELUDE = `
import errno, hashlib, json
def answer(value): print(json.dumps(value))
def errno_of(call):
    try:
        call()
    except nbd.Error as e:
        return e.errno
    return None
`;

let program: readonly [string, ...string[]] | null | undefined;

/** How to run it. nbdsh uses any python3, which may not be the one that libnbd was built for. */
async function find(): Promise<readonly [string, ...string[]] | null> {
  const script = findTool('nbdsh');
  if (script === null) return null;
  const python = join(dirname(script), 'python3');
  for (const [name, ...args] of [[script], [python, '-m', 'nbd']] as [string, ...string[]][]) {
    const { code } = await runTool(name, [...args, '-c', 'h.get_version()']).catch(() => NEVER_RAN);
    if (code === 0) return [name, ...args];
  }
  return null;
}

const NEVER_RAN = { code: -1 };

/** Whether nbdsh is installed and works; otherwise the test is skipped by name. */
export async function requireNbdsh(t: Test): Promise<boolean> {
  program ??= await find();
  return program !== null || requireTool(t, 'nbdsh', 'a python3 with libnbd');
}

/**
 * Runs a script, which calls `answer` once; {@link requireNbdsh} comes first.
 * @throws with what nbdsh says when it fails
 */
export async function nbdsh<T>(script: string, timeout = 180_000): Promise<T> {
  const [name, ...args] = program as readonly [string, ...string[]];
  const ran = await runTool(name, [...args, '-c', PRELUDE, '-c', script], { timeout });
  if (ran.code !== 0) throw new Error(`nbdsh: exit code ${ran.code}: ${ran.stderr}`);
  return JSON.parse(ran.stdout) as T;
}
