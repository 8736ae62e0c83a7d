// The control plane: opens images, listens, hands connections to reactors, ends in order.

import type { ListenAddress } from '../config/listen-address.js';
import type { Logger } from '../log/logger.js';
import { ReaderFactory } from '../image/build.js';
import { MAX_CONNECTIONS } from '../nbd/limits.js';
import { native } from '../native/binding.js';
import { BlobPool } from './blob-pool.js';
import { openImage, type OpenImage } from './image-opener.js';
import { planImage } from './image-plan.js';
import { Listener } from './listener.js';
import { ReactorPool } from './reactor-pool.js';

/** What to serve and where. */
export interface DaemonOptions {
  /** Export name to the paths that make its image: a config, or blobs bottom first. */
  readonly exports: ReadonlyMap<string, readonly string[]>;
  readonly listen: readonly ListenAddress[];
  readonly threads: number;
}

export class Daemon {
  readonly #log: Logger;
  readonly #reactors: ReactorPool;
  readonly #images: OpenImage[] = [];
  readonly #listeners: Listener[] = [];
  #refused = 0;

  private constructor(threads: number, log: Logger) {
    this.#log = log;
    this.#reactors = new ReactorPool(threads, log);
  }

  /**
   * Opens everything and serves.
   * @throws OverlaybdError when an image or a listener cannot be opened; nothing is left running
   */
  static async start(options: DaemonOptions, log: Logger): Promise<Daemon> {
    const daemon = new Daemon(options.threads, log);
    try {
      await daemon.#openImages(options.exports);
      await daemon.#listen(options.listen);
    } catch (error) {
      await daemon.#release();
      throw error;
    }
    return daemon;
  }

  /** Where clients find the daemon, as NBD URIs. */
  get uris(): string[] {
    return this.#listeners.map((listener) => listener.uri);
  }

  /** Takes no new connection, answers what has been asked, and ends. */
  async stop(): Promise<void> {
    for (const listener of this.#listeners.splice(0)) listener.close();
    await this.#reactors.drain();
    await this.#release();
  }

  async #openImages(exports: DaemonOptions['exports']): Promise<void> {
    const pool = new BlobPool(new ReaderFactory());
    const specs = [];
    for (const [name, paths] of exports) {
      const plan = planImage(paths);
      for (const note of plan.notes) this.#log.log('warn', note);
      const image = await openImage(plan, pool);
      this.#images.push(image);
      specs.push({ name, description: image.description, device: image.device });
      this.#log.log(
        'info',
        `export ${JSON.stringify(name)}: ${image.name}: ${image.description}, ${image.size} bytes`,
        { export: name, image: image.name, size: image.size },
      );
    }
    this.#reactors.setExports(specs);
  }

  async #listen(addresses: readonly ListenAddress[]): Promise<void> {
    for (const address of addresses) {
      const listener = await Listener.open(
        address,
        (fd, peer) => this.#accept(fd, peer),
        (message) => this.#log.log('error', message),
      );
      this.#listeners.push(listener);
    }
  }

  #accept(fd: number, peer: string): void {
    if (this.#reactors.connections < MAX_CONNECTIONS) {
      this.#refused = 0;
      this.#reactors.adopt(fd, peer);
      return;
    }
    native.close(fd);
    // One line when it begins; a flood of refusals must not become a flood of lines.
    if (this.#refused++ === 0) {
      this.#log.log('warn', `${peer}: refused: ${MAX_CONNECTIONS} connections are open`);
    }
  }

  async #release(): Promise<void> {
    for (const listener of this.#listeners.splice(0)) listener.close();
    await this.#reactors.terminate();
    for (const image of this.#images.splice(0)) image.close();
  }
}
