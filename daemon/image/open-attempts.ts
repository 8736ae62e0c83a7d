// Tries to open many images at the same time, and waits for those that are open in time, so that no slow disk
// delays the images on others.

import { Gate } from '../lib/gate.js';
import { inTime } from '../lib/in-time.js';
import type { ImageSource } from './plan/image-source.js';
import type { HeldImage, OpenImages } from './open-images.js';

/** Images opened at the same time. */
const PARALLEL_OPENS = 32;
/** An image that takes longer waits for a disk or the opener thread; the next opening starts then. */
const OPEN_TURN_MS = 1000;

export type Attempt = { readonly held: HeldImage } | { readonly error: unknown };

export class OpenAttempts {
  readonly #images: Pick<OpenImages, 'open'>;
  readonly #gate = new Gate(PARALLEL_OPENS, OPEN_TURN_MS);

  constructor(images: Pick<OpenImages, 'open'>) {
    this.#images = images;
  }

  async one(source: ImageSource): Promise<Attempt> {
    try {
      return { held: await this.#gate.run(() => this.#images.open(source)) };
    } catch (error) {
      return { error };
    }
  }

  /**
   * @param isFirst whether one of that name begins before the others, because it is likely to be open already
   * @returns the attempts in the order of the sources
   */
  all(
    sources: ReadonlyMap<string, ImageSource>,
    isFirst: (name: string) => boolean,
  ): Map<string, Promise<Attempt>> {
    const begun = new Map<string, Promise<Attempt>>();
    for (const first of [true, false]) {
      for (const [name, source] of sources) {
        if (isFirst(name) === first) begun.set(name, this.one(source));
      }
    }
    return new Map([...sources.keys()].map((name) => [name, begun.get(name) as Promise<Attempt>]));
  }
}

/** @returns those that are done in time, in their order; those that must be opened are waited for in any case */
export async function settledIn(
  patienceMs: number,
  attempts: ReadonlyMap<string, Promise<Attempt>>,
  mustOpen: (name: string) => boolean,
): Promise<Map<string, Attempt>> {
  const settled = new Map<string, Attempt>();
  const all = [...attempts].map(async ([name, attempt]) => {
    settled.set(name, await attempt);
  });
  await inTime(Promise.all(all), patienceMs);
  for (const [name, attempt] of attempts) if (mustOpen(name)) settled.set(name, await attempt);
  return new Map(
    [...attempts.keys()].flatMap((name) => {
      const attempt = settled.get(name);
      return attempt ? [[name, attempt] as const] : [];
    }),
  );
}
