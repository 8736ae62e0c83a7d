// Connections of devices as attach makes them, without a kernel: thousands that begin in the transmission phase on a
// socket pair in real reactor threads; their first requests arrive before, while and after the thread gets the
// connection. No request may be left unread, and no reply lost.
import { writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import t from 'tap';
import { sockets } from '../../../daemon/native/socket.js';
import { ReactorPool } from '../../../daemon/reactor/pool.js';
import { shortFolder } from '../../support/daemon-process.js';
import { openDevice } from '../../support/in-process.js';
import { RawNbdClient, requestBytes } from '../../support/nbd-client.js';
import { usualOrLong } from '../../support/long-tests.js';
import { randomBytes } from '../../support/pattern.js';
import { testPeer } from '../../support/test-peer.js';

const RUNS = usualOrLong(420, 2000);
const AT_ONCE = 8;
const SIZE = 1 << 20;
/**
 * Reads as a kernel's probe does: both ends, partition tables, superblocks, and a range that is sent without a copy.
 */
const READS: readonly [offset: number, length: number][] = [
  [0, 4096],
  [SIZE - 4096, 4096],
  [0, 16_384],
  [65_536, 4096],
  [4096, 131_072],
  [SIZE - 65_536, 65_536],
  [1024, 1024],
];

const folder = shortFolder(t);
const disk = randomBytes(3, SIZE);
writeFileSync(join(folder, 'disk.img'), disk);
const opened = await openDevice(join(folder, 'disk.img'));
t.teardown(() => opened.close());

/** How the reads of a run are sent: all at once, each after the last reply, or in two halves. */
const WAYS = ['at once', 'in turn', 'cut'] as const;

class Run {
  readonly #number: number;
  readonly #client: RawNbdClient;
  readonly #reads: (typeof READS)[number][];

  constructor(fd: number, number: number) {
    this.#number = number;
    this.#client = RawNbdClient.over(new Socket({ fd, readable: true, writable: true }));
    const first = number % READS.length;
    this.#reads = Array.from({ length: 1 + (number % 5) }, (_, i) => {
      return READS[(first + i * 3) % READS.length] as (typeof READS)[number];
    });
  }

  #request(i: number): Buffer {
    const [offset, length] = this.#reads[i] as (typeof READS)[number];
    return requestBytes({ cookie: BigInt(i), offset, length });
  }

  /** @throws if a reply is missing or wrong */
  async play(): Promise<void> {
    const way = WAYS[this.#number % WAYS.length];
    const all = Buffer.concat(this.#reads.map((_, i) => this.#request(i)));
    if (way === 'at once') this.#client.send(all);
    if (way === 'cut') {
      this.#client.send(all.subarray(0, all.length - 11));
      await pause(this.#number % 4);
      this.#client.send(all.subarray(all.length - 11));
    }
    for (let i = 0; i < this.#reads.length; i++) {
      if (way === 'in turn') this.#client.send(this.#request(i));
      const { cookie, error } = await this.#client.reply(60_000);
      const [offset, length] = this.#reads[Number(cookie)] as (typeof READS)[number];
      const bytes = await this.#client.take(length, 60_000);
      const isRight = error === 0 && bytes.equals(disk.subarray(offset, offset + length));
      if (!isRight) throw new Error(`${way}: reply ${cookie} of ${offset}+${length}: ${error}`);
    }
    this.#client.destroy();
  }
}

await t.test(
  'first requests before, while and after a reactor takes the connection',
  async (test) => {
    test.setTimeout(900_000);
    const lines: string[] = [];
    const pool = new ReactorPool(2, null, { log: (_level, message) => lines.push(message) });
    pool.setExports([
      { name: 'x', description: '', disk: opened.image.disk, key: 'image', hidden: true },
    ]);
    let begun = 0;
    let over = 0;
    const runs = async (): Promise<void> => {
      while (begun < RUNS) {
        const number = begun++;
        const [ours, theirs] = sockets.pair();
        const run = new Run(theirs, number);
        // Some requests are in the socket already when the thread gets the connection.
        const early = number % 4 === 0 ? run.play() : null;
        if (number % 8 === 0) await pause(number % 3);
        const closed = new Promise<void>((resolve) => {
          const resume = {
            export: 'x',
            form: 'simple' as const,
            contexts: [],
            skip: 0,
            received: new Uint8Array(0),
          };
          pool.serve(ours, {
            peer: testPeer(`run ${number}`),
            exports: [],
            resume,
            closed: () => resolve(),
          });
        });
        if (!early && number % 3 === 0) await pause(1);
        await (early ?? run.play());
        await closed;
        over++;
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, runs));
    test.equal(over, RUNS);
    test.equal(pool.connections, 0);
    test.same(
      lines.filter((line) => /died|BUG/.test(line)),
      [],
    );
    await pool.terminate();
  },
);
