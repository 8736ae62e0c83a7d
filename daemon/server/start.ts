// The composition of a daemon: options to a running process with its parts in order, and their end. Parses
// no command line.

import { setTimeout as pause } from 'node:timers/promises';
import type { ExportSources } from '../image/table.js';
import type { DeviceManager } from '../devices/manager.js';
import { StateFolder } from '../devices/state-folder.js';
import type { StdioConnection } from '../listen/stdio.js';
import type { DeferredLogger } from '../log/deferred-logger.js';
import { files } from '../native/file.js';
import type { MetricsAddress } from '../config/metrics-address.js';
import { monotonicMs } from '../lib/clock.js';
import { DRAIN_TIMEOUT_MS } from '../reactor/limits.js';
import { OverlaybdError, messageOf } from '../errors.js';
import { tellPredecessor } from '../upgrade/failure.js';
import { listeningOf, type Handover } from '../upgrade/handover.js';
import type { ControlPoint } from './control-point.js';
import { AddedExports } from './added-exports.js';
import type { Daemon, DaemonOptions, ServedOptions } from './daemon.js';
import { protectMemory } from './memory.js';
import type { Operation } from './operation.js';
import type { SdNotify } from './sd-notify.js';
import type { Signals } from './signals.js';
import type { SlowStart } from './slow-start.js';
import { takeStdioClient, type StartedWith } from './started-with.js';

/** How long a daemon on demand waits for its first device, and after the last one for the next. */
const FIRST_DEVICE_MS = 60_000;
const NEXT_DEVICE_MS = 5000;
/** A start that takes longer looks how far it is, for the control socket and the service manager. */
const SLOW_START_MS = 1000;

/** What `serve` is to do, with everything decided. */
export interface ServeOptions {
  readonly daemon: DaemonOptions;
  /** Reads the configuration again. @throws OverlaybdError when it is wrong */
  readonly readServed: () => Promise<ServedOptions>;
  /** null if there is no state folder, so neither a control socket nor devices. */
  readonly state: {
    readonly folder: string;
    /** Whether the daemon does not start without it. */
    readonly isRequired: boolean;
  } | null;
  readonly devices: DeviceOptions;
  /** Whether to serve the one client on standard input and output, and to end with the process that started us. */
  readonly stdio: boolean;
  readonly readDeadlineSeconds: number;
  /** Where metrics are asked for; null: nowhere. */
  readonly metrics: MetricsAddress | null;
  readonly lockMemory: boolean;
}

export interface DeviceOptions {
  readonly helperSocket: string;
  readonly noNetlink: boolean;
  readonly maxDevices: number;
  /** Whether the daemon ends when no device is attached. */
  readonly onDemand: boolean;
}

/** What the process has already when a daemon starts. */
export interface Surroundings {
  readonly startedWith: StartedWith;
  readonly signals: Signals;
  readonly manager: SdNotify;
  readonly log: DeferredLogger;
}

export interface Running {
  /** Resolves with the reason to end: a signal, a successor, the end of the only client. */
  readonly ended: Promise<string>;
  /** Answers what clients have asked, and ends. */
  stop(): Promise<void>;
}

/**
 * Starts a daemon. Resolves when it is ready.
 * @throws OverlaybdError when it cannot serve; nothing of it is left
 */
export async function start(options: ServeOptions, around: Surroundings): Promise<Running> {
  const { log, manager, signals, startedWith } = around;
  const { handover } = startedWith;
  const stdio = options.stdio ? await takeStdioClient(startedWith) : null;
  if (options.stdio) await endWithParent(startedWith, signals);
  files.deadline(1000 * options.readDeadlineSeconds);
  protectMemory(options.lockMemory, log);
  const state = stdio ? null : openState(options.state, handover, log);
  const added = state && (await openAdded(state, options.daemon.exports, log));
  // Here, not when the process ends: that may wait for a thread that a disk holds up in the kernel.
  const release = (control: ControlPoint | null, why: unknown): void => {
    if (control) control.close();
    else state?.close();
    tellPredecessor(why);
  };
  const all = daemonOptions(options.daemon, handover, added);
  const { Daemon: Made } = await import('./daemon.js');
  const daemon = await Made.make(all, log).catch((error: unknown) => {
    release(null, error);
    throw error;
  });
  const { control, interrupted } = await openImages(daemon, all, state, around, release);
  if (interrupted !== null)
    return interruptedStart(interrupted, daemon, (why) => release(control, why), around);
  const { Operation: Operating } = await import('./operation.js');
  const parts = state ? await openDevices(state, options.devices, control, daemon, around) : NONE;
  const { readServed, metrics } = options;
  const operation = new Operating({ daemon, ...parts, added, manager, log, readServed, metrics });
  await operation.start(handover?.channel ?? null);
  // A program that waits for these lines connects at once, and asks the control socket.
  for (const each of daemon.listening) log.log('info', `ready: ${each}`);
  if (stdio) log.log('info', 'ready: standard input and output');
  await Promise.race([operation.ready(), signals.ended]);
  signals.onReload(() => void operation.reload().catch(() => undefined));
  signals.onUpgrade(() => void operation.upgrade().catch(() => undefined));
  void log.write();
  return running(operation, daemon, stdio, around);
}

/**
 * Opens what the daemon serves, for as long as that takes. If it takes long, the control socket answers meanwhile.
 * @param release of what there was before, and of the control socket
 * @returns the control socket, if there is one already; and the reason, if the daemon is to end instead
 * @throws OverlaybdError when it cannot serve; nothing of it is left
 */
async function openImages(
  daemon: Daemon,
  options: DaemonOptions,
  state: StateFolder | null,
  { log, manager, signals, startedWith: { handover } }: Surroundings,
  release: (control: ControlPoint | null, why: unknown) => void,
): Promise<{ readonly control: ControlPoint | null; readonly interrupted: string | null }> {
  const since = monotonicMs();
  const { exports } = options;
  const { images } = daemon;
  let slow: SlowStart | null = null;
  // A predecessor answers until this daemon is ready, and no manager waits for it.
  const look = async (): Promise<void> => {
    const { SlowStart: Made } = await import('./slow-start.js');
    if (!isOver) slow = new Made({ exports, images, state, manager, log, since });
  };
  const timer = handover ? undefined : setTimeout(() => void look(), SLOW_START_MS);
  let isOver = false;
  const control = (): ControlPoint | null => slow?.control ?? null;
  try {
    const opening = daemon.open(options).then(() => null);
    // What it says after the daemon was stopped does not matter.
    opening.catch(() => undefined);
    const interrupted = await Promise.race([opening, signals.ended]);
    return { control: control(), interrupted };
  } catch (error) {
    release(control(), error);
    throw error;
  } finally {
    isOver = true;
    clearTimeout(timer);
    (slow as SlowStart | null)?.end();
  }
}

/** A daemon that is to end before its images are open. */
function interruptedStart(
  why: string,
  daemon: Daemon,
  release: (why: unknown) => void,
  { log, manager }: Surroundings,
): Running {
  const stop = async (): Promise<void> => {
    manager.stopping();
    release(new OverlaybdError('IO', `it is to end: ${why}`));
    await daemon.stop();
    log.log('info', 'stopped');
  };
  return { ended: Promise.resolve(why), stop };
}

function running(
  operation: Operation,
  daemon: Daemon,
  stdio: StdioConnection | null,
  { log, signals }: Surroundings,
): Running {
  const client = stdio ? [serveOnly(daemon, stdio)] : [];
  return {
    ended: Promise.race([signals.ended, operation.ended, ...client]),
    stop: async () => {
      await operation.stop();
      if (stdio) await Promise.race([stdio.finished, pause(DRAIN_TIMEOUT_MS)]);
      log.log('info', 'stopped');
    },
  };
}

async function serveOnly(daemon: Daemon, { fd, peer }: StdioConnection): Promise<string> {
  await daemon.clients.serveOne(fd, peer);
  return 'the client is done';
}

/** A server for one tool ends with the tool. A successor does not: its parent is its predecessor, which ends. */
async function endWithParent(
  { activated, handover }: StartedWith,
  signals: Signals,
): Promise<void> {
  if (handover) return;
  const { watchParent } = await import('./parent-watch.js');
  const listening = activated.map(({ fd }) => fd);
  watchParent(listening, () => signals.end('the process that started this daemon has ended'));
}

/** The exports of an earlier daemon of the folder that were added while it ran. */
async function openAdded(
  state: StateFolder,
  configured: ExportSources,
  log: DeferredLogger,
): Promise<AddedExports> {
  const added = await AddedExports.open(state.exports, log);
  added.settle(configured);
  return added;
}

/**
 * A successor must serve what its predecessor serves: otherwise clients would lose it. Any other daemon also starts if
 * an added export does not open: otherwise nothing could remove that export.
 */
function daemonOptions(
  options: DaemonOptions,
  handover: Handover | null,
  added: AddedExports | null,
): DaemonOptions {
  const listening = listeningOf(handover);
  const exports = added ? added.with(options.exports) : options.exports;
  const own = options.mustOpen;
  const mustOpen = handover
    ? (name: string): boolean => options.strict || !handover.failed.includes(name)
    : (name: string): boolean => own(name) && !added?.has(name);
  return { ...options, exports, listening, mustOpen };
}

/** @throws OverlaybdError when the folder is required and cannot be used */
function openState(
  wanted: ServeOptions['state'],
  handover: Handover | null,
  log: DeferredLogger,
): StateFolder | null {
  if (handover) {
    return handover.state && StateFolder.take(handover.state.folder, handover.state.lock);
  }
  if (wanted === null) return null;
  try {
    return StateFolder.open(wanted.folder);
  } catch (error) {
    if (wanted.isRequired) throw error;
    log.log('info', `serving without a control socket and devices: ${messageOf(error)}`);
    return null;
  }
}

interface DeviceParts {
  readonly devices: DeviceManager | null;
  readonly control: ControlPoint | null;
}

const NONE: DeviceParts = { devices: null, control: null };

async function openDevices(
  state: StateFolder,
  { helperSocket, noNetlink, maxDevices, onDemand }: DeviceOptions,
  early: ControlPoint | null,
  { images, reactors, fetchDeadlineSeconds }: Daemon,
  { log, signals, startedWith: { handover } }: Surroundings,
): Promise<DeviceParts> {
  const { ControlPoint: Point } = await import('./control-point.js');
  const { DeviceManager: Manager } = await import('../devices/manager.js');
  const { DeviceRecords } = await import('../devices/record.js');
  const { AutoDriver } = await import('../kernel/auto-driver.js');
  const { Sysfs } = await import('../kernel/sysfs.js');
  const endWhenIdle = (afterMs: number): void => {
    if (!onDemand) return;
    setTimeout(() => {
      if (devices.size === 0) signals.end('nothing is attached');
    }, afterMs).unref();
  };
  const control = early ?? new Point(state, handover?.state?.control ?? null);
  const sysfs = new Sysfs();
  const devices = new Manager({
    records: new DeviceRecords(state.devices),
    images,
    reactors,
    driver: new AutoDriver({ sysfs, helperSocket, noNetlink }),
    sysfs,
    log,
    maxDevices,
    fetchDeadlineSeconds,
    idle: () => endWhenIdle(NEXT_DEVICE_MS),
  });
  endWhenIdle(FIRST_DEVICE_MS);
  return { devices, control };
}
