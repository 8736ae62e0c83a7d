// A client that reads at random places and looks at every byte: a reply is right, or an error, or wrong.
import { seededRandom } from '../support/pattern.js';
import type { RawNbdClient } from '../support/nbd-client.js';
import { readOrError } from '../support/registry/remote-image.js';

const SECTOR = 512;
const LONGEST = 256; // sectors
const EIO = 5;

export class RandomReads {
  readonly #device: Buffer;
  readonly #random: () => number;
  right = 0;
  /** Replies with EIO. */
  failed = 0;
  /** Anything else, a line each. */
  readonly wrong: string[] = [];

  constructor(device: Buffer, seed: number) {
    this.#device = device;
    this.#random = seededRandom(seed);
  }

  async one(client: RawNbdClient): Promise<void> {
    const sectors = this.#device.length / SECTOR;
    const length = 1 + (this.#random() % LONGEST);
    const offset = this.#random() % (sectors - length);
    await this.#read(client, offset * SECTOR, length * SECTOR);
  }

  /** Reads until it is over, or the connection has ended. */
  async until(client: RawNbdClient, isOver: () => boolean): Promise<void> {
    try {
      while (!isOver()) await this.one(client);
    } catch (error) {
      if (!client.isOver) throw error;
    }
  }

  async #read(client: RawNbdClient, offset: number, length: number): Promise<void> {
    const got = await readOrError(client, offset, length);
    if (typeof got === 'number') {
      if (got === EIO) this.failed++;
      else this.wrong.push(`error ${got} at ${offset}`);
      return;
    }
    if (got.equals(this.#device.subarray(offset, offset + length))) {
      this.right++;
      return;
    }
    const at = got.findIndex((byte, i) => byte !== this.#device[offset + i]);
    const zeros = got.subarray(at).every((byte) => byte === 0) ? ', zeros to its end' : '';
    this.wrong.push(`read of ${length} at ${offset}: wrong from byte ${at} on${zeros}`);
  }
}
