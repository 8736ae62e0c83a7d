// What is done when the benchmark ends, however that comes: one listener of the process for all of it.

type Action = () => void;

const actions = new Set<Action>();

/** Has an action done when the process exits. It must be synchronous. */
export function atExit(action: Action): void {
  if (actions.size === 0) process.on('exit', doAll);
  actions.add(action);
}

/** Takes it back. */
export function notAtExit(action: Action): void {
  actions.delete(action);
  if (actions.size === 0) process.off('exit', doAll);
}

function doAll(): void {
  for (const action of actions) action();
}
