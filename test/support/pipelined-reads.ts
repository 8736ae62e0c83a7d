// A client with many reads in flight, whose replies may arrive in any order: each must arrive once, with the right
// bytes. It sends reads at its own pace, and checks replies as they arrive.
import { requestBytes, type RawNbdClient } from './nbd-client.js';

const HEADER = 16;

export class PipelinedReads {
  readonly #client: RawNbdClient;
  readonly #disk: Buffer;
  readonly #open = new Map<bigint, { offset: number; length: number }>();
  #next = 1n;
  answered = 0;

  constructor(client: RawNbdClient, disk: Buffer) {
    this.#client = client;
    this.#disk = disk;
  }

  get sent(): number {
    return Number(this.#next) - 1;
  }

  /** Sends this many more reads of various lengths at once. */
  send(count: number, length: number): void {
    const requests = Array.from({ length: count }, () => {
      const cookie = this.#next++;
      const offset = (Number(cookie) * 7919) % (this.#disk.length - length);
      this.#open.set(cookie, { offset, length });
      return requestBytes({ cookie, offset, length });
    });
    this.#client.send(Buffer.concat(requests));
  }

  /** @throws if a reply is an error, unknown, a duplicate, or has wrong bytes */
  async takeOne(): Promise<void> {
    const { error, cookie } = await this.#client.reply();
    const asked = this.#open.get(cookie);
    if (!asked) throw new Error(`a reply without a request: cookie ${cookie}`);
    this.#open.delete(cookie);
    if (error !== 0) throw new Error(`read of ${asked.length} at ${asked.offset}: error ${error}`);
    const bytes = await this.#client.take(asked.length);
    if (!bytes.equals(this.#disk.subarray(asked.offset, asked.offset + asked.length))) {
      throw new Error(`read of ${asked.length} at ${asked.offset}: wrong bytes`);
    }
    this.answered++;
  }

  async takeAll(): Promise<void> {
    while (this.#open.size > 0) await this.takeOne();
  }

  /** Keeps about `window` bytes of replies in flight until it is stopped. */
  async keepGoing(length: number, window: number, isOver: () => boolean): Promise<void> {
    const ahead = Math.ceil(window / (length + HEADER));
    while (!isOver()) {
      if (this.#open.size < ahead) this.send(ahead - this.#open.size, length);
      await this.takeOne();
    }
    await this.takeAll();
  }
}
