// The old daemon's side of an upgrade: starts the new daemon with the listening sockets, waits until it is
// ready, and sends it the connections. A failure before that changes nothing.

import type { ChildProcess, StdioOptions } from 'node:child_process';
import { OverlaybdError, factsOf, messageOf } from '../errors.js';
import type { DeviceCounters } from '../devices/device.js';
import { MessageChannel } from '../ipc/message-channel.js';
import { receivedError } from '../lib/posted-error.js';
import { descriptors } from '../native/descriptors.js';
import { sockets } from '../native/socket.js';
import { DRAIN_TIMEOUT_MS } from '../reactor/limits.js';
import type { OfferedSocket } from '../listen/clients.js';
import {
  FIRST_OFFERED_FD,
  HANDOVER_VARIABLE,
  type Handover,
  type ToSuccessor,
} from './handover.js';
import { HEARING_VARIABLE, type ToPredecessor } from './failure.js';
import type { Offer } from '../reactor/pool.js';

/** Time limit from exec to ready: large images take time. */
const START_TIMEOUT_MS = 60_000;

/** Names of failed exports that are passed on: an environment has no room for many long names. */
const MAX_FAILED_NAMES = 16;

/** Time limit from the end of the channel to the exit of the successor. */
const EXIT_TIMEOUT_MS = 2000;

/** The same for one that has said why it fails: it ends by itself, but its threads may have much to end. */
const TOLD_EXIT_TIMEOUT_MS = 20_000;

export interface OfferedState {
  readonly folder: string;
  readonly lockFd: number;
  readonly controlFd: number;
}

/** What a successor gets when it starts. */
export interface Offering {
  /** null if there is no state folder. */
  readonly state: OfferedState | null;
  /** Names of the exports that are not served now, so that the successor may fail to serve them too. */
  readonly failed: Iterable<string>;
  readonly sockets: readonly OfferedSocket[];
}

/** A successor that is ready for the connections. */
export interface Successor {
  readonly pid: number;
  offer(offer: Offer): void;
  /** @returns when it has taken all that was offered, or is gone */
  finish(counters: readonly DeviceCounters[]): Promise<void>;
}

/**
 * Starts the program that is on disk now, with the same arguments.
 * @throws OverlaybdError if it does not become ready; it has ended then
 */
export async function startSuccessor(
  { state, failed, sockets: listening }: Offering,
  environment: NodeJS.ProcessEnv,
): Promise<Successor> {
  const [ours, theirs] = sockets.pair();
  const offered: number[] = [];
  const offer = (fd: number): number => FIRST_OFFERED_FD + offered.push(fd) - 1;
  const handover: Handover = {
    channel: offer(theirs),
    state: state && {
      folder: state.folder,
      lock: offer(state.lockFd),
      control: offer(state.controlFd),
    },
    failed: [...failed].slice(0, MAX_FAILED_NAMES),
    sockets: listening.map(({ key, name, socket: { fd, uri, file } }) => {
      return { fd: offer(fd), key, name, uri, file };
    }),
  };
  const stdio: StdioOptions = ['ignore', 'inherit', 'inherit', ...offered];
  // Loaded here: a start needs no child process.
  const { spawn } = process.getBuiltinModule('node:child_process');
  const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    stdio,
    env: {
      ...environment,
      [HANDOVER_VARIABLE]: JSON.stringify(handover),
      [HEARING_VARIABLE]: `${process.pid}`,
    },
  });
  descriptors.close(theirs);
  return ready(child, ours);
}

function ready(child: ChildProcess, fd: number): Promise<Successor> {
  return new Promise((resolve, reject) => {
    let isGone = false;
    /** Why the successor says that it fails. */
    let told: OverlaybdError | null = null;
    // Wait for the exit code, which says more than the end of the channel.
    let gone: (error: Error | null) => void = (error) => {
      const limit = told ? TOLD_EXIT_TIMEOUT_MS : EXIT_TIMEOUT_MS;
      setTimeout(() => fail(error?.message ?? 'it hung up'), limit).unref();
    };
    const channel = new MessageChannel(fd, {
      message: (message) => {
        const fromNew = message as ToPredecessor;
        if (fromNew.type === 'failed') {
          // Its exit code comes soon.
          told = receivedError(fromNew.error, 'it gives no reason');
          return;
        }
        clearTimeout(timer);
        child.removeAllListeners();
        child.unref();
        gone = () => undefined;
        resolve({ pid: child.pid ?? 0, offer, finish });
      },
      closed: (error) => {
        isGone = true;
        gone(error);
      },
    });
    const fail = (why: string): void => {
      clearTimeout(timer);
      gone = () => undefined;
      channel.close();
      child.kill('SIGKILL');
      reject(notReady(why, told));
    };
    const timer = setTimeout(() => fail('it took too long'), START_TIMEOUT_MS);
    child.once('error', (error) => fail(messageOf(error)));
    child.once('exit', (code, signal) => fail(`it ended with ${signal ?? `exit code ${code}`}`));

    const offer = ({
      info: { peer, exports },
      connection: { fd: socket, transmission },
    }: Offer): void => {
      const received = Buffer.from(transmission.received).toString('base64');
      const message: ToSuccessor = {
        type: 'connection',
        peer: peer.text,
        from: peer,
        exports,
        transmission: { ...transmission, received },
      };
      channel.send(message, [socket], () => descriptors.close(socket));
    };
    const finish = (counters: readonly DeviceCounters[]): Promise<void> =>
      new Promise((done) => {
        gone = () => done();
        if (isGone) done();
        channel.send({ type: 'done', counters } satisfies ToSuccessor);
        setTimeout(() => channel.close(), DRAIN_TIMEOUT_MS).unref();
      });
  });
}

/** @param told why the successor says that it fails; null: it says nothing */
function notReady(why: string, told: OverlaybdError | null): OverlaybdError {
  const begin = `upgrade: the new daemon did not become ready: ${why}`;
  if (told === null) {
    return new OverlaybdError('IO', `${begin}; the old one continues (the log says more)`);
  }
  const message = `${begin}, ${told.code}: ${told.message}; the old one continues`;
  return new OverlaybdError(told.code, message, { facts: factsOf(told) });
}
