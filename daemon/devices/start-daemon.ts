// Starts a daemon for a command that finds none running. It ends when its last device is detached; its
// output is in daemon.log of the state folder.

import { spawn } from 'node:child_process';
import { closeSync, constants } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { ControlClient } from '../control/client.js';
import { OverlaybdError, messageOf } from '../errors.js';
import { MAIN } from '../lib/program.js';
import { openStateFile, readStateFileEnd } from './state-file.js';
import { makeFolder } from './state-folder.js';

const START_TIMEOUT_MS = 60_000;
/** Bytes at the end of the log in which its last line is looked for. */
const LAST_LINE_LENGTH = 4096;

/**
 * @param options further words of `serve`
 * @throws OverlaybdError when it does not start
 */
export async function startDaemon(
  folder: string,
  client: ControlClient,
  options: readonly string[] = [],
): Promise<void> {
  const path = join(folder, 'daemon.log');
  let log;
  try {
    makeFolder(folder);
    log = openStateFile(path, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT);
  } catch (error) {
    throw new OverlaybdError('IO', `state folder ${folder}: ${messageOf(error)}`, { cause: error });
  }
  // The working directory of the command may be on a file system that is unmounted later.
  const words = [MAIN, 'serve', '--on-demand', '--state', folder, ...options];
  const child = spawn(process.execPath, words, {
    detached: true,
    cwd: '/',
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  child.unref();
  let ended = false;
  child.once('exit', () => (ended = true));
  child.once('error', () => (ended = true));
  for (const end = Date.now() + START_TIMEOUT_MS; ; await pause(30)) {
    try {
      await client.status();
      return;
    } catch (error) {
      // Another command may have started one at the same time: then that one answers, and ours ends.
      if (ended || Date.now() > end) {
        const said = readStateFileEnd(path, LAST_LINE_LENGTH).trim().split('\n').at(-1) ?? '';
        const state = ended ? 'it ended' : 'it is still starting';
        const message = `no daemon could be started: ${state}: ${messageOf(error)}; ${path} ends: ${said}`;
        throw new OverlaybdError('NO_DAEMON', message);
      }
    }
  }
}
