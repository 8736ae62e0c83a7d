// All cases of the kernel tests, in the order in which they run, and the machines that they need.
import { attachCases } from './cases/attach.js';
import { daemonsCases } from './cases/daemons.js';
import { layeredCases } from './cases/layered.js';
import { mountCases } from './cases/mount.js';
import { mountPartsCases } from './cases/mount-parts.js';
import { nbdClientCases } from './cases/nbd-client.js';
import { registryCases } from './cases/registry.js';
import { shutdownCases } from './cases/shutdown.js';
import { survivalCases } from './cases/survival.js';
import { udevCases } from './cases/udev.js';
import type { Case } from './checks.js';
import type { Images } from './images.js';
import type { World } from './world.js';

/**
 * How many processors the machines have. The kernel uses no more connections of a device than it has processors. On an
 * emulated machine with two, Node.js takes half as long again as with one.
 */
export const PROCESSORS = [2, 1] as const;

export function kernelCases(images: Images, isLong: boolean): readonly Case<World>[] {
  return [
    ...udevCases(),
    ...nbdClientCases(images, isLong),
    ...attachCases(),
    ...mountCases(images),
    ...mountPartsCases(),
    ...layeredCases(images),
    ...survivalCases(isLong),
    ...registryCases(),
    ...shutdownCases(),
    ...daemonsCases(),
  ];
}

/** @param texts the case has one of them in its name; without any, all cases are wanted */
export function isWanted({ name }: Case<World>, texts: readonly string[]): boolean {
  return texts.length === 0 || texts.some((text) => name.includes(text));
}

/** How many processors its machine must have. */
export function processorsOf({ processors = 1 }: Case<World>): number {
  return processors;
}
