// Blocks of several reads that two threads decode: the same results as block by block, whichever thread takes a block.
// Skipped if this machine has no libzstd, or one core.
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import t from 'tap';
import { crc32c } from '../../../daemon/native/crc32c.js';
import { decodeAhead } from '../../../daemon/native/decode-ahead.js';
import { CODEC_ZSTD, codecs } from '../../../daemon/native/block-decoder.js';
import { encodeBlock } from '../../support/encode-block.js';
import { randomBytes, textBytes } from '../../support/pattern.js';

const SEED = 100_007;
const BLOCK = 4096;
const LAST = 1000;
const PAIRS = 32;
const PATIENCE_MS = 120_000;

const skip =
  codecs.version(CODEC_ZSTD) === '' || availableParallelism() < 2
    ? 'no libzstd or one core'
    : false;
t.throws(() => decodeAhead.begin(), /not open/);
const [stored, plain] = decodeAhead.open();
t.throws(() => decodeAhead.open(), /open already/);

interface Pair {
  readonly bytes: Buffer;
  readonly bounds: Uint32Array;
  readonly plain: Buffer;
}

/** Two stored blocks, the second one shorter. */
function pairOf(seed: number): Pair {
  const plains = [textBytes(seed, BLOCK), randomBytes(seed, LAST)];
  const parts: Buffer[] = [];
  const bounds = new Uint32Array(3);
  plains.forEach((each, i) => {
    const block = encodeBlock('zstd', each);
    const crc = Buffer.alloc(4);
    crc.writeUInt32LE(crc32c(block, 0, block.length, SEED));
    parts.push(block, crc);
    bounds[i + 1] = (bounds[i] as number) + block.length + 4;
  });
  return { bytes: Buffer.concat(parts), bounds, plain: Buffer.concat(plains) };
}

/** Waits while the helper is still in a range of the round before. */
function newRound(): void {
  const end = Date.now() + PATIENCE_MS;
  while (!decodeAhead.begin()) if (Date.now() > end) throw new Error('the helper does not end');
}

/** Makes a round again if the helper was interrupted in it, as other programs may do at any time. */
async function until(round: () => boolean): Promise<void> {
  const end = Date.now() + PATIENCE_MS;
  while (!round()) {
    if (Date.now() > end) throw new Error('no round was as it should be');
    await pause(1);
  }
}

/** Announces blocks that are in the memory, or in a file. */
function add(
  storedAt: number,
  bounds: Uint32Array,
  count: number,
  plainAt: number,
  fd = -1,
  position = 0,
): number {
  return decodeAhead.add(
    CODEC_ZSTD,
    storedAt,
    bounds,
    count,
    plainAt,
    BLOCK,
    LAST,
    LAST,
    4,
    SEED,
    fd,
    position,
  );
}

/** Announces pairs one after the other. @returns the numbers of their first blocks */
function announce(pairs: readonly Pair[]): number[] {
  let at = 0;
  return pairs.map(({ bytes, bounds }, i) => {
    stored.set(bytes, at);
    const number = add(at, bounds, 2, i * 2 * BLOCK);
    at += bytes.length;
    return number;
  });
}

const plainOf = (i: number): Uint8Array =>
  plain.subarray(i * 2 * BLOCK, i * 2 * BLOCK + BLOCK + LAST);

await t.test('with the helper and without it, all bytes are right', { skip }, (test) => {
  const pairs = Array.from({ length: PAIRS }, (_, i) => pairOf(i + 1));
  let late = 0;
  for (let round = 0; round < 100; round++) {
    newRound();
    plain.fill(0xdb);
    const numbers = announce(pairs);
    if (round % 3 > 0) decodeAhead.wake();
    for (let i = 0; i < PAIRS; i++) {
      // The helper may have been interrupted in a block.
      if (!decodeAhead.finish(numbers[i] as number)) late++;
      else if (!pairs[i]?.plain.equals(plainOf(i))) {
        return void test.fail(`round ${round}, pair ${i}: other bytes`);
      }
    }
  }
  test.ok(late < 60 * PAIRS, `${late} pairs were late`);
  test.end();
});

await t.test('the helper decodes what the caller does not take', { skip }, async (test) => {
  const pairs = Array.from({ length: PAIRS }, (_, i) => pairOf(i + 1));
  newRound();
  plain.fill(0xdb);
  const before = decodeAhead.helped();
  const numbers = announce(pairs);
  decodeAhead.wake();
  await until(() => decodeAhead.helped() - before === PAIRS);
  for (const [i, number] of numbers.entries()) {
    test.ok(decodeAhead.finish(number), `${i}`);
    test.ok(pairs[i]?.plain.equals(plainOf(i)), `${i}`);
  }
});

await t.test('while the helper is in a range, the round stays as it is', { skip }, async (test) => {
  const short = pairOf(1);
  // Takes the helper a millisecond.
  const long = Array.from({ length: 200 }, () => encodeBlock('zstd', textBytes(1, BLOCK)));
  const bounds = new Uint32Array(201);
  long.forEach((block, i) => (bounds[i + 1] = (bounds[i] as number) + block.length));
  await until(() => {
    newRound();
    plain.fill(0xdb);
    const [number = -1] = announce([short]);
    const at = short.bytes.length;
    stored.set(Buffer.concat(long), at);
    const added = decodeAhead.add(
      ...([CODEC_ZSTD, at, bounds, 200, 2 * BLOCK, BLOCK, BLOCK, BLOCK, 0, 0, -1, 0] as const),
    );
    if (number !== 0 || added !== 1) throw new Error(`numbers ${number} and ${added}`);
    decodeAhead.wake();
    const end = performance.now() + 1;
    while (performance.now() < end && plain[2 * BLOCK] === 0xdb);
    if (decodeAhead.begin()) return false;
    test.equal(add(0, short.bounds, 2, 0), -1, 'no range can be added');
    return decodeAhead.finish(0) && short.plain.equals(plainOf(0));
  });
});

await t.test('rounds that are given up are forgotten', { skip }, async (test) => {
  const old = Array.from({ length: PAIRS }, (_, i) => pairOf(i + 100));
  for (let round = 0; round < 100; round++) {
    newRound();
    announce(old);
    decodeAhead.wake();
  }
  const pair = pairOf(7);
  await until(() => {
    newRound();
    const [number = -1] = announce([pair]);
    if (number !== 0) throw new Error(`number ${number}`);
    return decodeAhead.finish(number);
  });
  test.ok(pair.plain.equals(plainOf(0)));
});

await t.test('a bad block is not decoded, and spoils no other', { skip }, async (test) => {
  for (const isHelped of [false, true]) {
    const pairs = [pairOf(1), pairOf(2), pairOf(3)];
    const [, bad] = pairs;
    if (bad) bad.bytes[9] = (bad.bytes[9] as number) ^ 1;
    await until(() => {
      newRound();
      const numbers = announce(pairs);
      if (isHelped) decodeAhead.wake();
      test.notOk(decodeAhead.finish(numbers[1] as number));
      test.notOk(decodeAhead.finish(numbers[1] as number), 'again');
      return [0, 2].every((i) => decodeAhead.finish(numbers[i] as number));
    });
    for (const i of [0, 2]) test.ok(pairs[i]?.plain.equals(plainOf(i)), `${i}`);
  }
});

await t.test('blocks outside the memory are refused', { skip }, async (test) => {
  newRound();
  const { bytes, bounds } = pairOf(1);
  stored.set(bytes, 0);
  test.throws(() => add(stored.length + 1, bounds, 2, 0), RangeError);
  test.throws(() => add(0, bounds, 3, 0), RangeError, 'fewer bounds than blocks');
  test.throws(() => add(0, bounds, 2, plain.length - BLOCK - LAST + 1), RangeError);
  test.throws(() => add(0, bounds, 2, plain.length + 1), RangeError);
  test.throws(() => add(0, bounds, 0, 0), RangeError);
  test.equal(add(stored.length - 10, bounds, 2, 0), -1, 'bounds past the end of the memory');
  const back = add(0, Uint32Array.of(50, 20, 10), 2, 0);
  test.notOk(decodeAhead.finish(back), 'bounds that go back');
  test.notOk(decodeAhead.finish(back + 1), 'not announced');
  test.throws(() => decodeAhead.finish(65), RangeError);
  await until(() => {
    newRound();
    return decodeAhead.finish(add(0, bounds, 2, plain.length - BLOCK - LAST));
  });
  newRound();
  let count = 0;
  while (add(0, bounds, 2, 0) >= 0) count++;
  test.equal(count, 64, 'a round has room for 64 ranges');
  newRound();
  const long = new Uint32Array(201).map((_, i) => i * 4);
  test.equal(add(0, long, 200, 0), 0);
  test.equal(add(0, long, 200, 0), -1, 'and for 256 blocks');
  newRound();
  test.equal(add(0, bounds, 2, 0), 0);
});

await t.test('stored bytes of a file, with the helper and without it', { skip }, (test) => {
  const path = join(test.testdir(), 'blob');
  const pairs = Array.from({ length: PAIRS }, (_, i) => pairOf(i + 1));
  writeFileSync(path, Buffer.concat([Buffer.alloc(77), ...pairs.map(({ bytes }) => bytes)]));
  const fd = openSync(path, 'r');
  readFileSync(path);
  let decoded = 0;
  for (let round = 0; round < 40; round++) {
    newRound();
    stored.fill(0);
    plain.fill(0xdb);
    let at = 0;
    const numbers = pairs.map(({ bytes, bounds }, i) => {
      const number = add(at, bounds, 2, i * 2 * BLOCK, fd, 77 + at);
      at += bytes.length;
      return number;
    });
    if (round % 2 > 0) decodeAhead.wake();
    for (const [i, number] of numbers.entries()) {
      if (!decodeAhead.finish(number)) continue;
      decoded++;
      if (!pairs[i]?.plain.equals(plainOf(i))) test.fail(`round ${round}, pair ${i}`);
    }
  }
  test.ok(decoded >= 20 * PAIRS, `${decoded} were decoded`);
  newRound();
  const [first] = pairs;
  const { bounds } = first as Pair;
  test.notOk(decodeAhead.finish(add(0, bounds, 2, 0, fd, 1 << 20)), 'past the end of the file');
  closeSync(fd);
  test.notOk(decodeAhead.finish(add(0, bounds, 2, 0, fd, 77)), 'a file that was closed');
  test.end();
});
