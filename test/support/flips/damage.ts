// What is done to one file of an image, which its digests must show: single bits, runs, pieces in each other's place, pieces that
// were encoded again, other lengths, another file in its place.
import { gunzipSync, gzipSync } from 'node:zlib';
import * as fc from 'fast-check';
import { compress, decompress } from 'zstd-napi';
import { randomBytes } from '../pattern.js';

/** Where something is in a file: bytes. */
export type Piece = readonly [begin: number, end: number];

const place = fc.oneof(
  { weight: 4, arbitrary: fc.nat(2 ** 30 - 1) },
  // The first and the last bytes contain the structures.
  { weight: 2, arbitrary: fc.nat(99).map((at) => -1 - at) },
  { weight: 3, arbitrary: fc.nat(699).map((at) => -1000 - at) },
);
const number = fc.nat(2 ** 30 - 1);

const damage = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant('bit' as const), at: place, bit: fc.nat(7) }),
  },
  fc.record({ kind: fc.constant('byte' as const), at: place, value: fc.nat(255) }),
  fc.record({ kind: fc.constant('digit' as const), at: place, value: fc.nat(9) }),
  fc.record({
    kind: fc.constant('zeros' as const),
    at: place,
    length: fc.integer({ min: 1, max: 5000 }),
  }),
  fc.record({
    kind: fc.constant('copy' as const),
    at: place,
    from: place,
    length: fc.integer({ min: 1, max: 5000 }),
  }),
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('swap' as const), a: number, b: number }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('encode' as const), a: number, at: number }),
  },
  fc.record({ kind: fc.constant('cut' as const), at: place }),
  fc.record({
    kind: fc.constant('insert' as const),
    at: place,
    length: fc.integer({ min: -600, max: 600 }),
  }),
  fc.record({
    kind: fc.constant('grow' as const),
    with: fc.constantFrom('noise' as const, 'zeros' as const, 'its end' as const),
    length: fc.integer({ min: 1, max: 5000 }),
  }),
);
export type Damage = typeof damage extends fc.Arbitrary<infer T> ? T : never;

/** In a file, or a file in the place of another. */
export const damages = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('in place' as const),
      file: number,
      all: fc.array(damage, { minLength: 1, maxLength: 3 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('another' as const),
      file: number,
      by: number,
      from: fc.constantFrom('same image' as const, 'other variant' as const, 'other form' as const),
      form: number,
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('missing' as const), file: number }) },
);
export type Damages = typeof damages extends fc.Arbitrary<infer T> ? T : never;

function positionOf(at: number, size: number): number {
  if (at >= 0) return Math.floor((at / 2 ** 30) * size);
  return at > -1000 ? Math.min(size - 1, -1 - at) : Math.max(0, size - 1 + (at + 1000));
}

/** @param pieces of the file; at least one */
export function damaged(file: Buffer, pieces: readonly Piece[], all: readonly Damage[]): Buffer {
  let bytes: Buffer = Buffer.from(file);
  for (const each of all) if (bytes.length > 0) bytes = apply(bytes, pieces, each);
  return bytes;
}

function apply(bytes: Buffer, pieces: readonly Piece[], each: Damage): Buffer {
  const size = bytes.length;
  switch (each.kind) {
    case 'bit': {
      const at = positionOf(each.at, size);
      bytes[at] = (bytes[at] as number) ^ (1 << each.bit);
      return bytes;
    }
    case 'byte':
      bytes[positionOf(each.at, size)] = each.value;
      return bytes;
    case 'digit':
      return withDigit(bytes, positionOf(each.at, size), each.value);
    case 'zeros': {
      const at = positionOf(each.at, size);
      bytes.subarray(at, at + each.length).fill(0);
      return bytes;
    }
    case 'copy': {
      const at = positionOf(each.at, size);
      const from = positionOf(each.from, size);
      bytes.set(Buffer.from(bytes.subarray(from, from + Math.min(each.length, size - at))), at);
      return bytes;
    }
    case 'swap':
      return swapped(bytes, pieces[each.a % pieces.length], pieces[each.b % pieces.length]);
    case 'encode':
      return encodedAnew(bytes, pieces[each.a % pieces.length], each.at);
    case 'cut':
      return bytes.subarray(0, positionOf(each.at, size));
    case 'insert': {
      const at = positionOf(each.at, size);
      const rest = bytes.subarray(each.length < 0 ? at - each.length : at);
      return Buffer.concat([
        bytes.subarray(0, at),
        randomBytes(at, Math.max(0, each.length)),
        rest,
      ]);
    }
    case 'grow':
      return Buffer.concat([bytes, moreOf(bytes, each.with, each.length)]);
  }
}

/** Another digit in place of the next one: JSON stays JSON. */
function withDigit(bytes: Buffer, from: number, value: number): Buffer {
  for (let at = from; at < bytes.length; at++) {
    const byte = bytes[at] as number;
    if (byte < 0x30 || byte > 0x39) continue;
    bytes[at] = 0x30 + value;
    return bytes;
  }
  return bytes;
}

function moreOf(bytes: Buffer, what: 'noise' | 'zeros' | 'its end', length: number): Buffer {
  if (what === 'its end') return Buffer.from(bytes.subarray(-length));
  return what === 'zeros' ? Buffer.alloc(length) : randomBytes(length, length);
}

/** Pieces of different lengths share the shorter length. */
function swapped(bytes: Buffer, a: Piece | undefined, b: Piece | undefined): Buffer {
  if (!a || !b) return bytes;
  const length = Math.min(a[1] - a[0], b[1] - b[0], bytes.length - a[0], bytes.length - b[0]);
  if (length <= 0) return bytes;
  const first = Buffer.from(bytes.subarray(a[0], a[0] + length));
  bytes.copyWithin(a[0], b[0], b[0] + length);
  bytes.set(first, b[0]);
  return bytes;
}

/** A piece with another byte, in the same format: only a digest tells. Pieces that get another length stay as they are. */
function encodedAnew(bytes: Buffer, piece: Piece | undefined, at: number): Buffer {
  if (!piece) return bytes;
  const stored = bytes.subarray(piece[0], piece[1]);
  const isGzip = stored.length > 2 && stored.readUInt16BE(0) === 0x1f8b;
  try {
    const plain = isGzip ? gunzipSync(stored) : Buffer.from(decompress(stored));
    const position = at % plain.length;
    plain[position] = (plain[position] as number) ^ 1;
    const anew = isGzip ? gzipSync(plain) : compress(plain);
    if (anew.length === stored.length) bytes.set(anew, piece[0]);
  } catch {
    // It is damaged already, or of another format.
  }
  return bytes;
}
