// What a test file has started: a unit test starts no process and no thread. Those that do are below test/component:
// they take most of the time, and so the unit tests stay a matter of seconds.
import childProcess from 'node:child_process';
import { subscribe } from 'node:diagnostics_channel';
import { syncBuiltinESMExports } from 'node:module';
import { resolve } from 'node:path';

/** Node.js publishes an object for each of its kind. */
const CHANNELS = { child_process: 'a process', worker_threads: 'a thread' };
/** Of these it publishes nothing. */
const SYNCHRONOUS = ['execSync', 'execFileSync', 'spawnSync'] as const;
const UNIT = /\/out\/test\/unit\//;

const started = new Set<string>();

/** Watches all that is started from now on. */
export function watchStarts(): void {
  for (const [channel, what] of Object.entries(CHANNELS))
    subscribe(channel, () => started.add(what));
  for (const name of SYNCHRONOUS) {
    const start = childProcess[name] as (...parameters: unknown[]) => unknown;
    const watched = (...parameters: unknown[]): unknown => {
      started.add('a process');
      return start(...parameters);
    };
    Object.assign(childProcess, { [name]: watched });
  }
  syncBuiltinESMExports();
}

export function isUnitTest(file: string): boolean {
  return UNIT.test(resolve(file));
}

/** @returns what is wrong: a line for each kind of thing that this file has started since the last call, and must not */
export function takeWrongStarts(file: string): string[] {
  const kinds = isUnitTest(file) ? [...started] : [];
  started.clear();
  return kinds.map(
    (what) => `it has started ${what}: a test that does belongs below test/component`,
  );
}
