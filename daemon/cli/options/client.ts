// The option of all commands that ask a running daemon, and the client for its control socket.

import { resolve } from 'node:path';
import type { Argv } from 'yargs';
import { ControlClient } from '../../control/client.js';
import { controlSocketOf, defaultStateFolder } from '../../devices/state-folder.js';
import { OverlaybdError } from '../../errors.js';

export interface ClientArguments {
  state?: string | undefined;
}

export function stateOption<T>(yargs: Argv<T>): Argv<T & ClientArguments> {
  return yargs.option('state', {
    describe: 'state folder of the daemon',
    type: 'string',
    requiresArg: true,
  });
}

/** @throws OverlaybdError BAD_ARGUMENT when there is no folder to look in */
export function folderOf(state: string | undefined): string {
  const folder = state ?? defaultStateFolder(process.env, process.geteuid?.() ?? 0);
  if (folder !== null) return resolve(folder);
  throw new OverlaybdError(
    'BAD_ARGUMENT',
    'where is the daemon? XDG_RUNTIME_DIR is not set: name its state folder with --state',
  );
}

/**
 * Asks the daemon of a state folder.
 * @param answerMs time limit of an answer; without it there is none, because opening images takes time
 * @throws OverlaybdError BAD_ARGUMENT when there is no folder to look in
 */
export function controlClient(state: string | undefined, answerMs?: number): ControlClient {
  return new ControlClient(controlSocketOf(folderOf(state)), answerMs);
}
