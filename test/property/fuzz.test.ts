// A short run of the fuzzer's targets with fixed cases, and a test that its judge notices every wrong answer.
import { execFile } from 'node:child_process';
import { setImmediate as turn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import t from 'tap';
import { NBD_CMD, NBD_OPT } from '../../daemon/nbd/constants.js';
import type { ReplyForm } from '../../daemon/nbd/session.js';
import { LargeMemory } from '../../daemon/nbd/large-memory.js';
import { sockets } from '../../daemon/native/socket.js';
import { SendBufferPool } from '../../daemon/nbd/outbox.js';
import { Connection } from '../../daemon/reactor/connection.js';
import { ExportMap } from '../../daemon/reactor/export-map.js';
import { ByteReader, Violation } from '../fuzz/byte-reader.js';
import { Client } from '../fuzz/client.js';
import {
  clientFlagsMessage,
  infoMessage,
  metaMessage,
  optionMessage,
  requestMessage,
} from '../fuzz/encode.js';
import { judge } from '../fuzz/judge.js';
import { World } from '../fuzz/world.js';
import { testPeer } from '../support/test-peer.js';

// The cases wait for sockets: on a busy machine tap's 30 seconds are too short.
t.setTimeout(900_000);

const main = fileURLToPath(new URL('../fuzz/main.js', import.meta.url));
const run = promisify(execFile);
/** tap does not watch this process, so its own descriptors do not count. */
const { NODE_OPTIONS: _watched, ...env } = process.env;

await t.test('fixed cases of all targets find no violation', async (test) => {
  for (const args of [
    ['--seed', '1', '--cases', '350'],
    ['--target', 'formats', '--seed', '1', '--cases', '150'],
    ['--target', 'documents', '--seed', '1', '--cases', '150'],
  ]) {
    const { stdout } = await run(process.execPath, [main, ...args], { env }).catch(
      (error: unknown) => {
        const { stdout: said } = error as { stdout: string };
        return { stdout: `${said}\n${String(error)}` };
      },
    );
    test.match(stdout, / cases from 0 of seed 1 /, args.join(' '));
    test.notMatch(stdout, /FAILED|again/);
  }
});

/** A short session with every kind of message, so that each byte can be damaged in turn. */
function shortSession(form: ReplyForm): Buffer {
  const extended = form === 'extended';
  const messages = [clientFlagsMessage(3)];
  if (form === 'structured') messages.push(optionMessage(NBD_OPT.STRUCTURED_REPLY));
  if (extended) messages.push(optionMessage(NBD_OPT.EXTENDED_HEADERS));
  if (form !== 'simple') {
    messages.push(
      metaMessage(NBD_OPT.SET_META_CONTEXT, 'mixed', ['base:allocation', 'overlaybd:layer']),
    );
  }
  messages.push(infoMessage(NBD_OPT.GO, 'mixed', [1, 2, 3]));
  const asked = [
    { type: NBD_CMD.READ, offset: 700 * 512 - 40, length: 90 },
    { type: NBD_CMD.READ, offset: 1000 * 512, length: 70 },
    { type: NBD_CMD.READ, offset: 2 ** 21, length: 1 },
    { type: NBD_CMD.BLOCK_STATUS, offset: 690 * 512, length: 30 * 512 },
    { type: NBD_CMD.CACHE, offset: 0, length: 512 },
    { type: NBD_CMD.WRITE, offset: 0, length: 0 },
  ];
  for (const [i, { type, offset, length }] of asked.entries()) {
    const cookie = 0x1111_1111_1111_1111n * BigInt(i + 1);
    messages.push(requestMessage(extended, { type, offset, length, cookie }));
  }
  messages.push(requestMessage(extended, { type: NBD_CMD.DISC, cookie: 0n }));
  return Buffer.concat(messages.map(({ bytes }) => bytes));
}

/** The daemon's answers. */
async function answersTo(bytes: Buffer, world: World): Promise<Buffer> {
  const [ours, theirs] = sockets.pair();
  const connection = new Connection(1, ours, testPeer(), {
    exports: new ExportMap(world.exports),
    sendBuffers: new SendBufferPool(),
    largeMemory: new LargeMemory(),
    readFailed: () => undefined,
    requestRefused: () => undefined,
    offered: () => undefined,
    closed: () => undefined,
  });
  const client = new Client(theirs, {
    bytes,
    kinds: [],
    mutations: [],
    pieces: [bytes.length],
    pauses: [0],
    reader: { from: 0, bytes: 65_536, every: 1 },
    leave: { kind: 'answered', at: bytes.length },
  });
  connection.start();
  while (client.end === 'open') {
    await turn();
    client.step();
  }
  client.leave();
  return client.heard;
}

/** Places of text for people, whose bytes may be anything. */
function textPlaces(heard: Buffer): Set<number> {
  const places = new Set<number>();
  for (const { index, 0: text } of heard.toString('latin1').matchAll(/[ -~]{16,}/g)) {
    for (let i = 0; i < text.length; i++) places.add(index + i);
  }
  return places;
}

await t.test('the judge notices every damaged, missing and added byte', async (test) => {
  for (const form of ['simple', 'structured', 'extended'] as const) {
    const world = new World();
    const bytes = shortSession(form);
    const heard = await answersTo(bytes, world);
    const verdictOf = (answer: Buffer): string => {
      const streams = { said: new ByteReader(bytes), heard: new ByteReader(answer) };
      try {
        const verdict = judge({ ...streams, exports: world.exports, count: () => undefined });
        return verdict.complete && verdict.over === 'goodbye' ? 'fine' : 'incomplete';
      } catch (error) {
        if (!(error instanceof Violation)) throw error;
        return error.message;
      }
    };
    test.equal(verdictOf(heard), 'fine', form);
    test.equal(verdictOf(heard.subarray(0, -1)), 'incomplete');
    test.match(verdictOf(Buffer.concat([heard, heard.subarray(-32)])), /magic|without a request/);
    const text = textPlaces(heard);
    const unseen: string[] = [];
    for (let at = 0; at < heard.length; at++) {
      const flipped = Buffer.from(heard);
      flipped[at] = (heard[at] as number) ^ (1 << (at % 7));
      if (!text.has(at) && verdictOf(flipped) === 'fine') unseen.push(`flipped ${at}`);
      const without = Buffer.concat([heard.subarray(0, at), heard.subarray(at + 1)]);
      if (verdictOf(without) === 'fine') unseen.push(`without ${at}`);
      const added = Buffer.concat([heard.subarray(0, at), Buffer.of(1), heard.subarray(at)]);
      if (verdictOf(added) === 'fine') unseen.push(`added ${at}`);
    }
    test.same(unseen, [], form);
  }
});
