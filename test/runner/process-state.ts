// What a test file must leave as it finds it, because the next file in the same process depends on it.

type State = ReadonlyMap<string, unknown>;

/** Values that tests replace to watch or to steer the code under test. */
const REPLACED: readonly (readonly [name: string, holder: object, key: string])[] = [
  ['console.log', console, 'log'],
  ['console.error', console, 'error'],
  ['process.stdout.write', process.stdout, 'write'],
  ['process.stderr.write', process.stderr, 'write'],
  ['process.exit', process, 'exit'],
  ['process.kill', process, 'kill'],
  ['process.argv', process, 'argv'],
  ['Date', globalThis, 'Date'],
  ['fetch', globalThis, 'fetch'],
  ['setTimeout', globalThis, 'setTimeout'],
  ['setInterval', globalThis, 'setInterval'],
  ['Date.now', Date, 'now'],
  ['Math.random', Math, 'random'],
  ['performance.now', performance, 'now'],
];

/** Events whose listeners change what the process does on an error or a signal. */
function isWatched(event: string | symbol): boolean {
  return typeof event === 'string' && /^(SIG|uncaughtException$|unhandledRejection$)/.test(event);
}

/** @returns the values by their names; two states differ where the values of a name are not identical */
export function stateOfProcess(): State {
  const state = new Map<string, unknown>([
    ['the working directory', process.cwd()],
    ['the umask', process.umask()],
    ['the exit code', process.exitCode ?? 0],
  ]);
  for (const [name, value] of Object.entries(process.env)) state.set(`$${name}`, value);
  for (const event of process.eventNames())
    if (isWatched(event))
      state.set(`listeners of process for ${String(event)}`, process.listenerCount(event));
  for (const name of Object.getOwnPropertyNames(globalThis)) state.set(`globalThis.${name}`, true);
  for (const [name, holder, key] of REPLACED) state.set(name, Reflect.get(holder, key));
  return state;
}

/** @returns the names of what has changed */
export function changesOf(before: State, after: State): string[] {
  const names = new Set([...before.keys(), ...after.keys()]);
  return [...names].filter((name) => !Object.is(before.get(name), after.get(name)));
}
