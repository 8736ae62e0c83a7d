// Whatever clients do as often as they can makes few log lines; memory stays bounded and other clients are served, even
// if the log is not read.
import { spawn } from 'node:child_process';
import { closeSync, fstatSync, openSync, readFileSync, statSync, writeSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { NBD_OPT } from '../../daemon/nbd/constants.js';
import { DaemonProcess, commandLine, shortFolder } from '../support/daemon-process.js';
import { writeZfileLayer } from '../support/e2e-images.js';
import {
  RawNbdClient,
  clientFlags,
  infoData,
  optionBytes,
  requestBytes,
  tick,
} from '../support/nbd-client.js';

t.setTimeout(900_000);

const MIB = 1 << 20;
const BLOCK = 4096;
const SIZE = 2 * MIB;

const folder = shortFolder(t);
const image = join(folder, 'layer.obd');
const expected = writeZfileLayer(image, 4, SIZE);

/** Damages one block. */
function breakImage(path: string): void {
  const at = statSync(path).size >> 1;
  const byte = readFileSync(path)[at] as number;
  const fd = openSync(path, 'r+');
  writeSync(fd, Buffer.from([byte ^ 0x10]), 0, 1, at);
  closeSync(fd);
}
breakImage(image);

async function badBlock(client: RawNbdClient): Promise<number> {
  for (let block = 0; block < SIZE / BLOCK; block++) {
    if ((await client.command({ offset: block * BLOCK, length: BLOCK })) !== 0) return block;
    await client.take(BLOCK);
  }
  throw new Error('no block is bad');
}

/** Reads the block all the time, 128 requests at once. @returns the number of replies */
function hammer(client: RawNbdClient, block: number): { replies: number } {
  const request = requestBytes({ cookie: 1n, offset: block * BLOCK, length: BLOCK });
  const some = Buffer.concat(Array.from({ length: 64 }, () => request));
  const sum = { replies: 0 };
  let got = 0;
  client.socket.removeAllListeners('readable');
  client.socket.on('data', (bytes: Buffer) => {
    sum.replies += bytes.length / 16;
    for (got += bytes.length; got >= 64 * 16; got -= 64 * 16) client.socket.write(some);
  });
  client.socket.write(some);
  client.socket.write(some);
  return sum;
}

await t.test('one bad block that many clients read for ever makes few lines', async (test) => {
  const daemon = await DaemonProcess.start(test, [image, '--threads', '1']);
  const good = await RawNbdClient.open(daemon.unix);
  const block = await badBlock(good);
  const clients: RawNbdClient[] = [];
  for (let i = 0; i < 8; i++) clients.push(await RawNbdClient.open(daemon.unix));
  const warm = clients.slice(0, 1).map((client) => hammer(client, block));
  await tick(500);
  const before = daemon.residentBytes();
  const linesBefore = daemon.log.length;
  const sums = [...warm, ...clients.slice(1).map((client) => hammer(client, block))];
  let fresh = 0;
  const repliesOf = (): number => sums.reduce((sum, { replies }) => sum + replies, 0);
  while (repliesOf() <= 20_000 || fresh <= 5) {
    const data = await good.read(0, BLOCK);
    if (!data.equals(expected.subarray(0, BLOCK))) test.fail('wrong bytes');
    const client = await RawNbdClient.open(daemon.unix);
    await client.disconnect();
    fresh++;
    await tick(20);
  }
  const failed = repliesOf();
  const grown = (daemon.residentBytes() - before) / MIB;
  test.ok(failed > 20_000, `${failed} reads failed`);
  test.ok(fresh > 5, `${fresh} new clients were served meanwhile`);
  test.ok(grown < 64, `${grown} MiB more`);
  for (const client of clients) client.destroy();
  await daemon.waitForLines(/more reads? failed likewise/);
  const lines = daemon.log.slice(linesBefore).split('\n');
  const about = lines.filter((line) => / reads? .*failed/.test(line));
  test.ok(about.length <= 3, `${about.length} lines about ${failed} reads`);
  const counted = about.map((line) => Number(/(\d+) more/.exec(line)?.[1] ?? 1));
  test.ok(counted.reduce((sum, each) => sum + each, 0) >= failed * 0.5, 'the lines have the count');
  test.ok(lines.length < 100, `${lines.length} lines in all`);
  await good.disconnect();
  await daemon.stop(test);
});

await t.test('many hostile connections make few lines', async (test) => {
  const daemon = await DaemonProcess.start(test, [image, '--threads', '1']);
  const says = [
    Buffer.from('GET / HTTP/1.1\r\n\r\n'),
    Buffer.alloc(64, 0xff),
    Buffer.concat([clientFlags(), Buffer.alloc(64, 7)]),
    Buffer.concat([clientFlags(), optionBytes(NBD_OPT.EXPORT_NAME, Buffer.from('no\nsuch'))]),
    Buffer.concat([
      clientFlags(),
      optionBytes(NBD_OPT.GO, infoData('nor\u009bthis')),
      Buffer.alloc(16),
    ]),
  ];
  let done = 0;
  const one = (i: number): Promise<void> =>
    new Promise((resolve) => {
      const socket = connect({ path: daemon.socketPath });
      socket.on('error', () => undefined);
      socket.on('close', () => {
        done++;
        resolve();
      });
      socket.resume();
      socket.end(says[i % says.length] ?? '');
    });
  for (let i = 0; i < 4000; i += 40) {
    await Promise.all(Array.from({ length: 40 }, (_, k) => one(i + k)));
  }
  test.equal(done, 4000);
  const good = await RawNbdClient.open(daemon.unix);
  test.ok((await good.read(0, BLOCK)).equals(expected.subarray(0, BLOCK)));
  await good.disconnect();
  const lines = await daemon.waitForLines(/more connections of uid \d+ closed/, 2);
  test.ok(lines.length > 0);
  const all = daemon.lines(/closed/);
  test.ok(all.length < 400, `${all.length} lines about 4000 connections`);
  test.match(daemon.log, /warn: .*no export named "no\\nsuch"/);
  await daemon.stop(test);
});

await t.test('a log that is not read does not stop the daemon', async (test) => {
  // Every connection logs one line, and a long one.
  const options = ['--log-level', 'debug', '--log-format', 'json'];
  const daemon = await DaemonProcess.start(test, [image, ...options]);
  const good = await RawNbdClient.open(daemon.unix);
  daemon.child.stderr?.pause();
  const flood = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i += 40) {
      const some = Array.from({ length: 40 }, () => {
        const socket = connect({ path: daemon.socketPath });
        socket.on('error', () => undefined);
        socket.resume();
        return new Promise<void>((resolve) => {
          socket.once('data', () => socket.destroy());
          socket.once('close', () => resolve());
        });
      });
      await Promise.all(some);
    }
  };
  await flood(20_000);
  test.ok((await good.read(0, BLOCK)).equals(expected.subarray(0, BLOCK)), 'the daemon serves');
  await good.disconnect();
  daemon.child.stderr?.resume();
  const [line = '{}'] = await daemon.waitForLines(/lines were left out/);
  test.match(JSON.parse(line), {
    level: 'warn',
    message: /^\d+ lines were left out: standard error did not accept them in time$/,
    more: Number,
  });
  await daemon.stop(test);
});

await t.test('standard error is the journal: lines have priorities', async (test) => {
  const log = join(shortFolder(test), 'log');
  const fd = openSync(log, 'w+');
  test.teardown(() => closeSync(fd));
  const { dev, ino } = fstatSync(fd);
  const run = async (stream: string, ...args: string[]): Promise<string> => {
    const [program, ...rest] = commandLine(args);
    const env = { ...process.env, JOURNAL_STREAM: stream };
    const child = spawn(program, rest, { stdio: ['ignore', 'ignore', fd], env });
    await new Promise((resolve) => child.once('close', resolve));
    return readFileSync(log, 'utf8');
  };
  const journal = `${dev}:${ino}`;
  const state = join(shortFolder(test), 'state');
  // An address of nobody, which is tried after the image is open.
  const missing = ['serve', image, '-l', 'tcp://192.0.2.1:0', '--state', state];
  test.match(await run(`${dev}:1`, ...missing), /^2\S+ info: .*\noverlaybd-nbd: tcp:\/\/192/);
  const lines = (await run(journal, ...missing)).split('\n').slice(2, -1);
  test.match(lines, [/^<6>2\S+ info: export/, /^<3>overlaybd-nbd: tcp:\/\/192/]);
  const json = (await run(journal, ...missing, '--log-format', 'json')).split('\n').slice(4, -1);
  test.match(json, [/^<6>\{".*\}$/, /^<3>overlaybd-nbd: /]);
});
