// Long reads of a file over a Unix socket without a copy: the same bytes in the same order as with a copy.
import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { NBD_CMD, NBD_OPT } from '../../../daemon/nbd/constants.js';
import { closeFile, loadRange, openPath } from '../../../daemon/blob/file-jobs.js';
import type { FileRange } from '../../../daemon/lib/disk.js';
import { LargeMemory } from '../../../daemon/nbd/large-memory.js';
import { SendBufferPool } from '../../../daemon/nbd/outbox.js';
import { descriptors } from '../../../daemon/native/descriptors.js';
import { sockets } from '../../../daemon/native/socket.js';
import { Connection } from '../../../daemon/reactor/connection.js';
import { EAGAIN, EINVAL } from '../../../daemon/lib/errno.js';
import { filePipes } from '../../../daemon/native/file-pipe.js';
import { PipePool, PipedFiles, type PipeCalls } from '../../../daemon/reactor/file-pipe.js';
import { seededRandom } from '../../support/pattern.js';
import { clientFlags, infoData, optionBytes, requestBytes } from '../../support/nbd-client.js';
import { bytesAt, FakeExport, tableOf } from '../nbd/fake-export.js';
import { testPeer } from '../../support/test-peer.js';
import { fallsTo, openDescriptors } from '../../support/descriptors.js';

const SIZE = 4 << 20;
/** Greeting, two infos, the acknowledgement. */
const GONE = 18 + 32 + 34 + 20;
const HEADER = 16;

/** An export whose bytes are also in a file, which `locate` names. */
class FileExport extends FakeExport {
  readonly fd: number;
  located = 0;

  constructor(fd: number) {
    super(SIZE, 'x');
    this.fd = fd;
  }

  locate(offset: number, _length: number, into: FileRange): boolean {
    this.located++;
    into.fd = this.fd;
    into.position = offset;
    return true;
  }
}

interface Client {
  fd: number;
  served: FileExport;
  pipes: PipePool;
  connection: Connection;
  closed: string[];
}

async function connect(test: Test): Promise<Client> {
  const path = join(test.testdir(), 'file');
  writeFileSync(path, bytesAt(0, SIZE));
  const { fd: file } = await openPath(path);
  // A pipe takes only what is in the page cache.
  await loadRange(file, path, 0, SIZE, 0);
  const served = new FileExport(file);
  const [ours, fd] = sockets.pair();
  test.teardown(() => {
    descriptors.close(fd);
    closeFile(file);
  });
  const pipes = new PipePool();
  const closed: string[] = [];
  const connection = new Connection(1, ours, testPeer(), {
    exports: tableOf(served),
    sendBuffers: new SendBufferPool(),
    largeMemory: new LargeMemory(),
    pipes,
    readFailed: () => undefined,
    requestRefused: () => undefined,
    offered: () => undefined,
    closed: (_connection, { reason }) => closed.push(reason),
    deadlines: { handshakeMs: 120_000, drainMs: 120_000 },
  });
  connection.start();
  const client = { fd, served, pipes, connection, closed };
  say(client, Buffer.concat([clientFlags(), optionBytes(NBD_OPT.GO, infoData('x'))]));
  return client;
}

function say({ fd }: Client, bytes: Buffer): void {
  if (sockets.send(fd, bytes, 0, bytes.length) !== bytes.length)
    throw new Error('not all was sent');
}

/** @param most bytes that are received at a time */
async function hear({ fd }: Client, length: number, most = length): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  const deadline = performance.now() + 120_000;
  for (let at = 0; at < length && performance.now() < deadline;) {
    const n = sockets.recv(fd, bytes, at, Math.min(most, length - at));
    if (n > 0) at += n;
    if (n === 0) return bytes.subarray(0, at);
    if (n < 0 || most < length) await pause(1);
  }
  return bytes;
}

/** Whether the system can put bytes of this file into a pipe at all. */
function canPipe(file: number): boolean {
  const ends = new Int32Array(2);
  filePipes.make(ends, 1 << 20);
  const taken = filePipes.fill(file, 0, ends[1] as number, 262_144);
  for (const end of ends) descriptors.close(end);
  return taken === 262_144;
}

await t.test('long and short reads in any order, also by a slow client', async (test) => {
  const client = await connect(test);
  test.equal((await hear(client, GONE)).length, GONE);
  const before = openDescriptors();
  const next = seededRandom(3);
  for (let round = 0; round < 20; round++) {
    const reads = Array.from({ length: 8 }, (_, i) => {
      const length = i % 3 === 0 ? 4096 : 65_536 + ((next() >>> 3) % (256 * 1024 - 65_536));
      return { offset: (next() >>> 2) % (SIZE - length), length, cookie: BigInt(i) };
    });
    say(client, Buffer.concat(reads.map((each) => requestBytes(each))));
    const total = reads.reduce((sum, { length }) => sum + HEADER + length, 0);
    const got = await hear(client, total, round % 2 === 0 ? total : 50_000);
    let at = 0;
    for (const { offset, length, cookie } of reads) {
      if (got.readBigUInt64BE(at + 8) !== cookie) return void test.fail('replies out of order');
      const data = got.subarray(at + HEADER, at + HEADER + length);
      if (!data.equals(bytesAt(offset, length))) return void test.fail(`${offset}+${length}`);
      at += HEADER + length;
    }
  }
  test.ok(client.served.located > 0, 'locate() was called');
  if (client.served.reads.some(({ length }) => length >= 65_536)) test.comment('some were copied');
  test.ok(openDescriptors() - before <= 2, 'one pipe serves all reads');
  say(client, requestBytes({ type: NBD_CMD.DISC }));
  test.equal((await hear(client, 1)).length, 0);
});

await t.test('a long read is not copied, a short one is', async (test) => {
  const client = await connect(test);
  await hear(client, GONE);
  if (!canPipe(client.served.fd)) {
    test.pass('long reads', {
      skip: 'NOT TESTED: the system takes no bytes of this file into a pipe',
    });
    return;
  }
  for (const [length, copied] of [
    [65_535, 1],
    [65_536, 0],
    [262_144, 0],
  ] as const) {
    client.served.reads.length = 0;
    say(client, requestBytes({ offset: 4095, length }));
    const got = await hear(client, HEADER + length);
    test.ok(got.subarray(HEADER).equals(bytesAt(4095, length)), `${length} bytes`);
    test.equal(client.served.reads.length, copied, `${length} bytes: copied ${copied} times`);
  }
});

await t.test('bytes that the file lacks are reported by a read', async (test) => {
  const client = await connect(test);
  await hear(client, GONE);
  truncateSync(join(test.testdirName, 'file'), 100_000);
  say(client, requestBytes({ offset: 50_000, length: 200_000 }));
  const got = await hear(client, HEADER + 200_000);
  // The fake export's own bytes: it was read.
  test.ok(got.subarray(HEADER).equals(bytesAt(50_000, 200_000)));
  test.same(client.served.reads.at(-1), { offset: 50_000, length: 200_000, loaded: false });
});

await t.test('a client that hangs up leaves no descriptor open', async (test) => {
  const before = openDescriptors();
  await test.test('a client that takes no replies leaves no descriptor open', async (inner) => {
    const client = await connect(inner);
    await hear(client, GONE);
    for (let i = 0; i < 8; i++) say(client, requestBytes({ offset: 4096 * i, length: 262_144 }));
    await pause(50);
    client.connection.close('gone');
    inner.same(client.closed, ['gone']);
  });
  // Another thread closes the file.
  test.ok(await fallsTo(before), `${openDescriptors()} open, ${before} before`);
});

const PAGE = 4096;

/** Pipes as the kernel has them: each page, or part of one, takes a slot. `most` limits the next fill. */
class FakePipes implements PipeCalls {
  readonly capacity: number;
  /** Bytes in each slot. */
  places: number[] = [];
  most = Infinity;
  fills = 0;
  partial = 0;
  made = 0;
  readonly closed: number[] = [];

  /** @param pages of each pipe */
  constructor(pages: number) {
    this.capacity = pages * PAGE;
  }

  make(ends: Int32Array): number {
    ends.set([100 + this.made, 200 + this.made]);
    this.made++;
    this.places = [];
    return this.capacity;
  }

  fill(_fd: number, position: number, _writeEnd: number, length: number): number {
    this.fills++;
    let taken = 0;
    while (taken < Math.min(length, this.most) && this.places.length < this.capacity / PAGE) {
      const n = Math.min(PAGE - ((position + taken) % PAGE), length - taken, this.most - taken);
      this.places.push(n);
      taken += n;
    }
    if (taken < length) this.partial++;
    return taken === 0 ? -EAGAIN : taken;
  }

  drain(_readEnd: number, _socket: number, length: number): number {
    let sent = 0;
    while (sent < length && this.places.length > 0) {
      const n = Math.min(this.places[0] as number, length - sent);
      sent += n;
      this.places[0] = (this.places[0] as number) - n;
      if (this.places[0] === 0) this.places.shift();
    }
    return sent;
  }

  close(fd: number): void {
    this.closed.push(fd);
  }
}

await t.test('a run that may not fit into the pipe is not begun', (test) => {
  // 15 pages and two bytes, which touch 17 pages.
  const one = new FakePipes(16);
  test.notOk(new PipedFiles(9, new PipePool(one)).take(5, PAGE - 1, 15 * PAGE + 2));
  test.equal(one.fills, 0, 'splice is not called');
  test.ok(
    new PipedFiles(9, new PipePool(one)).take(5, PAGE, 16 * PAGE),
    'a run that fills the pipe exactly is taken',
  );

  // Short runs, each across a page boundary.
  const many = new FakePipes(16);
  const files = new PipedFiles(9, new PipePool(many));
  let taken = 0;
  while (files.take(5, 8 * PAGE - 1, 2)) taken++;
  test.equal(taken, 8);
  test.equal(many.partial, 0);
  test.equal(files.send(2), 2);
  test.ok(files.take(5, 8 * PAGE - 1, 2), 'there is room again');

  const random = new FakePipes(64);
  const next = seededRandom(8);
  const mixed = new PipedFiles(9, new PipePool(random));
  const held: number[] = [];
  for (let i = 0; i < 5000; i++) {
    const length = 1 + (next() % (20 * PAGE));
    if (mixed.take(5, next(), length)) held.push(length);
    else if (held.length > 0) mixed.send(held.shift() as number);
  }
  test.ok(random.fills > 1000, `${random.fills} runs`);
  test.equal(random.partial, 0, 'all runs fitted');
  test.end();
});

await t.test(
  'a pipe with stray bytes sends its valid bytes, takes no more, and is not used again',
  (test) => {
    const calls = new FakePipes(16);
    const pool = new PipePool(calls);
    const files = new PipedFiles(9, pool);
    test.ok(files.take(5, 0, 1000));
    calls.most = 300; // the file has become shorter
    test.notOk(files.take(5, 0, 1000));
    calls.most = Infinity;
    test.notOk(files.take(5, 0, 1000), 'the data would follow the stray bytes');
    test.same(calls.closed, []);
    test.equal(files.send(1000), 1000);
    test.same(calls.closed, [100, 200]);
    test.ok(files.take(5, 0, 1000), 'another pipe is used');
    test.equal(calls.made, 2);

    calls.most = 1;
    const other = new PipedFiles(9, pool);
    test.notOk(other.take(5, 0, 1000));
    test.same(calls.closed.slice(2), [102, 202], 'a pipe without valid bytes is closed at once');
    test.end();
  },
);

await t.test('a pipe is reused when the client has taken its replies', (test) => {
  const calls = new FakePipes(16);
  const pool = new PipePool(calls);
  for (let i = 0; i < 10; i++) {
    const files = new PipedFiles(9, pool);
    test.ok(files.take(5, 0, 1000));
    test.equal(files.send(1000), 1000);
    files.close();
  }
  test.equal(calls.made, 1);
  test.same(calls.closed, []);
  test.end();
});

await t.test('at most four idle pipes are kept', (test) => {
  const calls = new FakePipes(16);
  calls.drain = (_readEnd, _socket, length) => length;
  const pool = new PipePool(calls);
  const all = Array.from({ length: 7 }, () => new PipedFiles(9, pool));
  for (const files of all) test.ok(files.take(5, 0, 1000));
  for (const files of all) test.equal(files.send(1000), 1000);
  test.equal(calls.made, 7);
  test.equal(calls.closed.length, 2 * (7 - 4), 'both ends of each pipe beyond four');
  test.end();
});

await t.test('a system that cannot splice is not asked again', (test) => {
  const calls = new FakePipes(16);
  let asked = 0;
  calls.fill = () => {
    asked++;
    return -EINVAL;
  };
  const files = new PipedFiles(9, new PipePool(calls));
  for (let i = 0; i < 3; i++) test.notOk(files.take(5, 0, 1000));
  test.equal(asked, 1);
  test.throws(() => files.send(1), /nothing was taken/);
  test.end();
});
