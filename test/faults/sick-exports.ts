// One daemon with an export for each fault, each with a registry and an image of its own, and one export that stays
// healthy.
import { join } from 'node:path';
import type { Test } from 'tap';
import { DaemonProcess, shortFolder } from '../support/daemon-process.js';
import { tick, type RawNbdClient } from '../support/nbd-client.js';
import type { FrontOptions } from '../support/registry/fault-front.js';
import type { Fault } from '../support/registry/faults.js';
import {
  compare,
  comparePatiently,
  openPatiently,
  remoteImage,
  remoteOptions,
  type RemoteImage,
} from '../support/registry/remote-image.js';

const MIB = 1 << 20;

export interface Sick extends RemoteImage {
  readonly fault: Fault;
  readonly client: RawNbdClient;
}

export interface SickWorld {
  readonly daemon: DaemonProcess;
  /** In the order of the faults. They are not sick yet. */
  readonly sick: readonly Sick[];
  readonly healthy: RemoteImage;
}

/**
 * @param frontOf the front of each fault, by its position
 * @param deadline seconds of a read
 * @param size bytes of each image
 */
export async function startSickWorld(
  t: Test,
  faults: readonly Fault[],
  frontOf: (position: number) => Partial<FrontOptions>,
  deadline: number,
  size = MIB,
): Promise<SickWorld> {
  const make = (seed: number, front: Partial<FrontOptions>): Promise<RemoteImage> =>
    remoteImage(t, { files: { size, seed: 100 * seed }, front });
  const healthy = await make(0, {});
  const images: RemoteImage[] = [];
  for (const position of faults.keys()) images.push(await make(position + 1, frontOf(position)));
  const exports = images.flatMap(({ name }, i) => ['--export', `sick${i}=${name}`]);
  exports.push('--export', `healthy=${healthy.name}`);
  const fronts = [healthy, ...images].map(({ front }) => front);
  const options = remoteOptions(fronts, join(shortFolder(t), 'cache'), deadline);
  const daemon = await DaemonProcess.start(t, [...exports, ...options]);
  const sick: Sick[] = [];
  for (const [i, fault] of faults.entries()) {
    const client = await openPatiently(daemon.unix, `sick${i}`);
    sick.push({ ...(images[i] as RemoteImage), fault, client });
  }
  return { daemon, sick, healthy };
}

/** Reads each export in one request, so that one deadline is waited for. @returns 'right', or what was wrong */
export function readOnce(sick: readonly Sick[]): Promise<string[]> {
  const one = async ({ client, files: { device } }: Sick): Promise<string> =>
    (await compare(client, device, 0, device.length, device.length)) ?? 'right';
  return Promise.all(sick.map(one));
}

/** Reads each export until all of it is right, or patience ends. @returns 'right', or what was wrong */
export function readUntilRight(sick: readonly Sick[]): Promise<string[]> {
  const one = async ({ client, files }: Sick): Promise<string> =>
    (await comparePatiently(client, files.device)) ?? 'right';
  return Promise.all(sick.map(one));
}

/** Reads the healthy export, which is cached, again and again. @returns what was wrong, if anything */
export async function readHealthy(
  { daemon, healthy }: SickWorld,
  isOver: () => boolean,
): Promise<{ rounds: number; problem: string | null }> {
  const client = await openPatiently(daemon.unix, 'healthy');
  let problem = await comparePatiently(client, healthy.files.device);
  let rounds = 0;
  for (; problem === null && (rounds === 0 || !isOver()); rounds++) {
    problem = await compare(client, healthy.files.device);
    await tick(20);
  }
  await client.disconnect();
  return { rounds, problem };
}
