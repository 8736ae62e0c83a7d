// Messages with descriptors over a socket pair: two channels, and peers that break every rule.
import { closeSync, fstatSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { test, type Test } from 'tap';
import { MAX_MESSAGE_LENGTH, MessageChannel } from '../../../daemon/ipc/message-channel.js';
import { EAGAIN } from '../../../daemon/lib/errno.js';
import { MAX_DESCRIPTORS, descriptors } from '../../../daemon/native/descriptors.js';
import { sockets } from '../../../daemon/native/socket.js';
import { fallsTo, openDescriptors } from '../../support/descriptors.js';

interface End {
  channel: MessageChannel;
  messages: unknown[];
  /** The descriptors of each message. */
  descriptors: (readonly number[])[];
  closed: (Error | null)[];
}

function endOver(fd: number, onMessage: (message: unknown) => void = () => undefined): End {
  const end: Omit<End, 'channel'> = { messages: [], descriptors: [], closed: [] };
  const channel = new MessageChannel(fd, {
    message: (message, received) => {
      end.messages.push(message);
      end.descriptors.push(received);
      onMessage(message);
    },
    closed: (error) => end.closed.push(error),
  });
  return { channel, ...end };
}

async function until(isSo: () => boolean): Promise<void> {
  for (const end = performance.now() + 120_000; !isSo(); await pause(2)) {
    if (performance.now() > end) throw new Error('it did not come in time');
  }
}

function headed(json: Buffer | string, count = 0, length?: number): Buffer {
  const body = Buffer.from(json);
  const head = Buffer.alloc(8);
  head.writeUInt32LE(length ?? body.length, 0);
  head.writeUInt32LE(count, 4);
  return Buffer.concat([head, body]);
}

function files(t: Test, count: number): { fds: number[]; inodes: number[] } {
  const folder = t.testdir();
  const fds = Array.from({ length: count }, (_, i) => {
    const path = join(folder, String(i));
    writeFileSync(path, String(i));
    return openSync(path, 'r');
  });
  t.teardown(() => fds.forEach((fd) => closeSync(fd)));
  return { fds, inodes: fds.map((fd) => fstatSync(fd).ino) };
}

function closeAll({ descriptors: received }: End): void {
  for (const each of received.flat()) descriptors.close(each);
}

await test('messages go both ways, in order, with descriptors', async (t) => {
  const { fds, inodes } = files(t, MAX_DESCRIPTORS);
  const before = openDescriptors();
  const [a, b] = sockets.pair();
  const [left, right] = [endOver(a), endOver(b)];
  let gone = 0;
  left.channel.send({ n: 0 });
  left.channel.send({ n: 1 }, fds.slice(0, 2), () => gone++);
  left.channel.send({ n: 2, text: 'ü'.repeat(1000) }, fds, () => gone++);
  left.channel.send(null);
  left.channel.send({ n: 4 }, fds.slice(2, 3), () => gone++);
  right.channel.send(['back']);
  await until(() => right.messages.length === 5 && left.messages.length === 1);
  t.same(right.messages, [{ n: 0 }, { n: 1 }, { n: 2, text: 'ü'.repeat(1000) }, null, { n: 4 }]);
  t.same(left.messages, [['back']]);
  const got = right.descriptors.map((each) => each.map((fd) => fstatSync(fd).ino));
  t.same(got, [[], inodes.slice(0, 2), inodes, [], inodes.slice(2, 3)]);
  t.equal(gone, 3);
  left.channel.close();
  await until(() => right.closed.length === 1);
  t.same([left.closed, right.closed], [[null], [null]]);
  left.channel.close();
  t.equal(left.closed.length, 1, 'the owner is notified once');
  closeAll(right);
  t.ok(await fallsTo(before), 'no descriptor stays open');
});

await test('a queue that the socket does not accept at once', async (t) => {
  const { fds } = files(t, 3);
  const before = openDescriptors();
  const [a, b] = sockets.pair();
  const left = endOver(a);
  const count = 300;
  let gone = 0;
  for (let n = 0; n < count; n++) {
    left.channel.send({ n, fill: 'x'.repeat(20_000) }, n % 3 === 0 ? fds : [], () => gone++);
  }
  t.ok(gone < count, 'the queue is not empty yet');
  await pause(20);
  const right = endOver(b);
  await until(() => right.messages.length === count);
  t.same(
    right.messages.map((each) => (each as { n: number }).n),
    Array.from({ length: count }, (_, n) => n),
  );
  t.same(
    right.descriptors.map((each) => each.length),
    Array.from({ length: count }, (_, n) => (n % 3 === 0 ? 3 : 0)),
  );
  t.equal(gone, count);
  right.channel.close();
  left.channel.close();
  closeAll(right);
  t.ok(await fallsTo(before), 'no descriptor stays open');
});

await test('closing a channel releases what is queued', async (t) => {
  const [a, b] = sockets.pair();
  t.teardown(() => descriptors.close(b));
  const left = endOver(a);
  let gone = 0;
  for (let n = 0; n < 200; n++) left.channel.send('x'.repeat(50_000), [b], () => gone++);
  left.channel.close();
  t.equal(gone, 200);
  left.channel.send('too late', [b], () => gone++);
  t.equal(gone, 201);
});

await test('the largest message is sent, a larger one is refused', async (t) => {
  const [a, b] = sockets.pair();
  const [left, right] = [endOver(a), endOver(b)];
  const largest = 'y'.repeat(MAX_MESSAGE_LENGTH - 2);
  left.channel.send(largest);
  await until(() => right.messages.length === 1);
  t.equal(right.messages[0], largest);
  t.throws(() => left.channel.send(`${largest}y`), RangeError);
  const tooMany = Array.from({ length: MAX_DESCRIPTORS + 1 }, () => b);
  t.throws(() => left.channel.send('', tooMany), RangeError);
  left.channel.close();
  await until(() => right.closed.length === 1);
});

await test('messages may be split and joined in any way', async (t) => {
  const { fds, inodes } = files(t, 2);
  const [raw, b] = sockets.pair();
  t.teardown(() => descriptors.close(raw));
  const right = endOver(b);
  const stream = Buffer.concat([headed('1'), headed('"two"', 2), headed('{"three":3}')]);
  const second = headed('1').length;
  for (let at = 0; at < stream.length; at++) {
    const n =
      at === second
        ? descriptors.send(raw, stream, at, 1, Int32Array.from(fds))
        : sockets.send(raw, stream, at, 1);
    t.equal(n, 1);
    if (at % 5 === 0) await pause(2);
  }
  await until(() => right.messages.length === 3);
  t.same(right.messages, [1, 'two', { three: 3 }]);
  t.same(
    right.descriptors.map((each) => each.map((fd) => fstatSync(fd).ino)),
    [[], inodes, []],
  );
  closeAll(right);
  const many = Buffer.concat(Array.from({ length: 500 }, (_, n) => headed(String(n))));
  t.equal(sockets.send(raw, many, 0, many.length), many.length);
  await until(() => right.messages.length === 503);
  t.same(
    right.messages.slice(3),
    Array.from({ length: 500 }, (_, n) => n),
    'many in one write',
  );
  right.channel.close();
});

await test('a peer that breaks the rules ends the channel and leaks nothing', async (t) => {
  const { fds } = files(t, MAX_DESCRIPTORS);
  const one = fds.slice(0, 1);
  const cases: [string, [Buffer, readonly number[]][], RegExp][] = [
    ['too long', [[headed('', 0, MAX_MESSAGE_LENGTH + 1), one]], /a message of 1048577 bytes/],
    ['far too long', [[headed('', 0, 0xffffffff), one]], /a message of 4294967295 bytes/],
    ['too many descriptors', [[headed('1', 65), fds]], /65 descriptors/],
    ['missing descriptors', [[headed('1', 2), one]], /descriptors are missing/],
    ['no JSON', [[headed('{', 1), one]], /JSON/],
    ['not UTF-8', [[headed(Buffer.from([0xff, 0xfe]), 1), one]], /JSON/],
    ['no message at all', [[headed('', 1), one]], /JSON/],
    ['descriptors that no message owns', [[headed('1', 0), one]], /descriptors/],
    [
      'too many descriptors',
      Array.from({ length: 20 }, (_, i): [Buffer, readonly number[]] => [
        i === 0 ? headed('', 0, 1000) : Buffer.from(' '),
        fds.slice(0, 20),
      ]),
      /descriptors/,
    ],
  ];
  for (const [what, parts, message] of cases) {
    const before = openDescriptors();
    const [raw, b] = sockets.pair();
    const right = endOver(b);
    for (const [bytes, each] of parts) {
      descriptors.send(raw, bytes, 0, bytes.length, Int32Array.from(each));
      await pause(3);
    }
    await until(() => right.closed.length === 1);
    t.match(right.closed[0]?.message, message, what);
    closeAll(right);
    descriptors.close(raw);
    t.ok(await fallsTo(before), `${what}: no descriptor stays open`);
  }
});

await test('the peer ends in the middle of a message, and between two', async (t) => {
  const { fds } = files(t, 1);
  for (const [bytes, message] of [
    [headed('12345', 1).subarray(0, 10), /within a message/],
    [headed('1').subarray(0, 3), /within a message/],
    [headed('1'), null],
  ] as const) {
    const before = openDescriptors();
    const [raw, b] = sockets.pair();
    const right = endOver(b);
    if (message === null) sockets.send(raw, bytes, 0, bytes.length);
    else descriptors.send(raw, bytes, 0, bytes.length, Int32Array.from(fds));
    descriptors.close(raw);
    await until(() => right.closed.length === 1);
    if (message) t.match(right.closed[0]?.message, message);
    else t.equal(right.closed[0], null);
    t.ok(await fallsTo(before), 'no descriptor stays open');
  }
});

await test('handlers that throw, and handlers that close the channel', async (t) => {
  const [a, b] = sockets.pair();
  const left = endOver(a);
  const right = endOver(b, () => {
    throw new TypeError('not this one');
  });
  left.channel.send(1);
  await until(() => right.closed.length === 1 && left.closed.length === 1);
  t.match(right.closed[0], { message: 'not this one' });

  const { fds } = files(t, 1);
  const before = openDescriptors();
  const [c, d] = sockets.pair();
  const closing = endOver(d, () => closing.channel.close());
  const bytes = Buffer.concat([headed('1'), headed('2'), headed('3')]);
  descriptors.send(c, headed('0', 1), 0, 9, Int32Array.from(fds));
  sockets.send(c, bytes, 0, bytes.length);
  await until(() => closing.closed.length === 1);
  t.same(closing.messages, [0], 'nothing follows the end');
  closeAll(closing);
  descriptors.close(c);
  t.ok(await fallsTo(before), 'no descriptor stays open');
});

await test('a peer that is gone ends the channel', async (t) => {
  const [a, b] = sockets.pair();
  const left = endOver(a);
  descriptors.close(b);
  let gone = 0;
  left.channel.send('anybody?', [a], () => gone++);
  await until(() => left.closed.length === 1);
  t.equal(gone, 1);
  t.not(sockets.recv(a, Buffer.alloc(1), 0, 1), -EAGAIN, 'the socket is closed');
});
