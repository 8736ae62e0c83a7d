// The NBD server as a target: plays cases of nbd-case.ts in one world.
import { playNbdCase } from './nbd-case.js';
import type { Target } from './run.js';
import { World } from './world.js';

export function nbdTarget(): Target {
  const world = new World();
  return {
    play: async (seed, number) => {
      await playNbdCase(world, seed, number);
    },
    seen: world.seen,
    failures: world.failures,
    end: () => undefined,
  };
}
