// The option of all commands that ask a running daemon, and the client for its control socket.

import { resolve } from 'node:path';
import { errorOf } from '../../lib/fault.js';
import type { Argv } from 'yargs';
import { ControlClient } from '../../control/client.js';
import { controlSocketOf, defaultStateFolder } from '../../devices/state-folder.js';

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
  const why = 'XDG_RUNTIME_DIR is not set: name the state folder of the daemon with --state';
  throw errorOf('BAD_ARGUMENT', { section: '--state' }, why);
}

/**
 * Asks the daemon of a state folder.
 * @param answerMs time limit of an answer; without it there is none, because opening images takes time
 * @throws OverlaybdError BAD_ARGUMENT when there is no folder to look in
 */
export function controlClient(state: string | undefined, answerMs?: number): ControlClient {
  return new ControlClient(controlSocketOf(folderOf(state)), answerMs);
}
