// The addon's CRC-32C against published vectors and against a bitwise one written here.
import t from 'tap';
import { crc32c, crc32cVerifyBlocks } from '../../../daemon/native/crc32c.js';

const ZFILE_SEED = 100_007;

/** One byte through the register, bit by bit. */
function step(register: number, byte: number): number {
  let next = register ^ byte;
  for (let bit = 0; bit < 8; bit++) next = (next >>> 1) ^ (next & 1 ? 0x82f63b78 : 0);
  return next >>> 0;
}

function bitwise(bytes: Uint8Array, seed: number): number {
  return bytes.reduce(step, seed);
}

function crc(bytes: Uint8Array, seed: number): number {
  return crc32c(bytes, 0, bytes.length, seed);
}

/** The usual CRC-32C, which inverts before and after. */
function inverted(bytes: Uint8Array): number {
  return ~crc(bytes, 0xffffffff) >>> 0;
}

/** Bytes without short repetitions; the same in every run. */
function noise(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  let state = 12_345;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    bytes[i] = state >>> 16;
  }
  return bytes;
}

await t.test('published vectors (RFC 3720 B.4), inverted before and after', async (test) => {
  test.equal(inverted(Buffer.from('123456789')), 0xe3069283);
  test.equal(inverted(new Uint8Array(32)), 0x8a9136aa);
  test.equal(inverted(new Uint8Array(32).fill(0xff)), 0x62a8ab43);
  test.equal(inverted(Uint8Array.from({ length: 32 }, (_, i) => i)), 0x46dd794e);
  test.equal(inverted(Uint8Array.from({ length: 32 }, (_, i) => 31 - i)), 0x113fdb5c);
});

await t.test('the seed is loaded without inversion', async (test) => {
  for (const seed of [0, 1, ZFILE_SEED, 0x80000000, 0xffffffff]) {
    test.equal(crc(new Uint8Array(0), seed), seed);
    test.equal(crc(Buffer.from('overlaybd'), seed), bitwise(Buffer.from('overlaybd'), seed));
  }
  test.equal(crc(new Uint8Array(5000), 0), 0, 'zeros do not change a zero register');
});

await t.test('every length up to 4200 at every alignment', async (test) => {
  const bytes = noise(4300);
  let wrong = 0;
  for (let offset = 0; offset < 64; offset++) {
    let register = ZFILE_SEED;
    for (let length = 0; length <= 4200; length++) {
      if (crc32c(bytes, offset, length, ZFILE_SEED) !== register) wrong++;
      register = step(register, bytes[offset + length] ?? 0);
    }
  }
  test.equal(wrong, 0);
});

await t.test('long input, chained calls, shared memory', async (test) => {
  const bytes = noise(1_000_003);
  const whole = bitwise(bytes, 7);
  test.equal(crc(bytes, 7), whole);
  test.equal(crc(bytes.subarray(333_333), crc(bytes.subarray(0, 333_333), 7)), whole);
  const shared = new Uint8Array(new SharedArrayBuffer(bytes.length + 3), 3);
  shared.set(bytes);
  test.equal(crc(shared, 7), whole);
});

/** Blocks with the given payload sizes and their CRCs, beginning at `base`. */
function blocks(sizes: number[], base: number): { buffer: Buffer; bounds: Uint32Array } {
  const bounds = new Uint32Array(sizes.length + 1);
  for (const [i, size] of sizes.entries()) bounds[i + 1] = (bounds[i] ?? 0) + size + 4;
  const buffer = Buffer.from(noise(base + (bounds.at(-1) ?? 0) + 5).buffer);
  for (const [i, size] of sizes.entries()) {
    const start = base + (bounds[i] ?? 0);
    const value = bitwise(buffer.subarray(start, start + size), ZFILE_SEED);
    buffer.writeUInt32LE(value, start + size);
  }
  return { buffer, bounds };
}

await t.test('crc32cVerifyBlocks finds the first bad block', async (test) => {
  const sizes = [4096, 1, 0, 2000, 37];
  for (const base of [0, 13]) {
    const { buffer, bounds } = blocks(sizes, base);
    const verify = () => crc32cVerifyBlocks(buffer, base, bounds, sizes.length, ZFILE_SEED);
    test.equal(verify(), -1);
    test.equal(crc32cVerifyBlocks(buffer, base, bounds, sizes.length, 0), 0, 'another seed');
    for (const i of sizes.keys()) {
      for (const at of [bounds[i] ?? 0, (bounds[i + 1] ?? 0) - 1]) {
        buffer[base + at] = (buffer[base + at] ?? 0) ^ 0x10;
        test.equal(verify(), i, `block ${i}, byte ${at}`);
        buffer[base + at] = (buffer[base + at] ?? 0) ^ 0x10;
      }
    }
    buffer.fill(0xaa, base + 4100);
    test.equal(verify(), 1, 'the first of several');
  }
});

await t.test('crc32cVerifyBlocks: bounds from any base, shared memory, no blocks', async (test) => {
  const { buffer, bounds } = blocks([100, 200, 300], 0);
  test.equal(crc32cVerifyBlocks(buffer, 0, bounds.subarray(1), 2, ZFILE_SEED), -1);
  test.equal(crc32cVerifyBlocks(buffer, 0, bounds, 0, ZFILE_SEED), -1);
  test.equal(crc32cVerifyBlocks(buffer, buffer.length, bounds, 0, ZFILE_SEED), -1);
  const sharedBounds = new Uint32Array(new SharedArrayBuffer(bounds.byteLength));
  sharedBounds.set(bounds);
  const shared = new Uint8Array(new SharedArrayBuffer(buffer.length));
  shared.set(buffer);
  test.equal(crc32cVerifyBlocks(shared, 0, sharedBounds, 3, ZFILE_SEED), -1);
});

await t.test('crc32cVerifyBlocks refuses invalid bounds', async (test) => {
  const { buffer, bounds } = blocks([100, 200], 0);
  const verify = (list: ArrayLike<number>, count: number, base = 0) =>
    crc32cVerifyBlocks(buffer, base, Uint32Array.from(list), count, ZFILE_SEED);
  test.equal(verify([...bounds], 2), -1);
  for (const [name, list] of Object.entries({
    'shorter than a CRC': [0, 3],
    empty: [104, 104],
    descending: [104, 0],
    'past the end': [0, buffer.length + 1],
    'far past the end': [0xfffffff0, 0xffffffff],
    'starts past the end': [buffer.length + 1, buffer.length + 5],
  })) {
    test.throws(() => verify(list, 1), RangeError, name);
  }
  test.throws(() => verify([0, 50, 20], 2), RangeError, 'even if an earlier block is bad');
  test.throws(() => verify([...bounds], 3), RangeError, 'a count without its bound');
  test.throws(() => verify([], 0), RangeError);
  test.throws(() => verify([...bounds], 2, 6), RangeError, 'the base moves the last block outside');
  test.throws(() => verify([...bounds], 2, buffer.length + 1), RangeError);
});
