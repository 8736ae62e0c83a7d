// Micro benchmark of decoding through the codecs' own interface, and of CRC-32C. Real bytes: the
// Node.js program of this machine.
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import type { Algorithm } from '../../daemon/codec/algorithm.js';
import { createDecoder, createPortableDecoder } from '../../daemon/codec/decoder.js';
import { DECODE_HEADROOM, type Batch, type BatchDecoder } from '../../daemon/codec/batch.js';
import { encodeBlock } from '../support/encode-block.js';
import { crc32c } from '../../daemon/native/crc32c.js';
import { rateOf } from './rate.js';
import type { Spread } from './summary.js';

export interface DecodeRate {
  algorithm: Algorithm;
  /** Bytes of a decoded block. */
  blockSize: number;
  /** Blocks decoded in one call. */
  blocks: number;
  /** The decoder in use, or the one that needs no library of the system. */
  decoder: 'in use' | 'portable';
  /** Decoded bytes a second, CRCs checked. */
  rate: Spread;
}

export interface CrcRate {
  /** Bytes of one checksum. */
  length: number;
  /** Bytes a second. */
  rate: Spread;
}

const SAMPLE = 4 << 20;
const BLOCK_SIZES = [4096, 16_384, 65_536];
/** Bytes of a long read. */
const RUN = 256 * 1024;
const CRC_SIZE = 4;
const CRC_SEED = 0;

export function measureDecoding(): DecodeRate[] {
  const sample = realBytes();
  const rates: DecodeRate[] = [];
  for (const algorithm of ['lz4', 'zstd'] as const) {
    for (const blockSize of BLOCK_SIZES) {
      for (const blocks of new Set([1, RUN / blockSize])) {
        const measure = (decoder: BatchDecoder): Spread =>
          decodeRate(decoder, algorithm, sample, blockSize, blocks);
        const one = { algorithm, blockSize, blocks };
        rates.push({ ...one, decoder: 'in use', rate: measure(createDecoder(algorithm)) });
        rates.push({
          ...one,
          decoder: 'portable',
          rate: measure(createPortableDecoder(algorithm)),
        });
      }
    }
  }
  return rates;
}

export function measureCrc(): CrcRate[] {
  const sample = realBytes();
  return [2048, 4096, 65_536].map((length) => {
    const batch = (): void => {
      for (let at = 0; at < sample.length; at += length) crc32c(sample, at, length, CRC_SEED);
    };
    return { length, rate: rateOf(batch, sample.length) };
  });
}

/** The source bytes are copied again for every call, like those of a file: decoders may overwrite them. */
function decodeRate(
  decoder: BatchDecoder,
  algorithm: Algorithm,
  sample: Buffer,
  blockSize: number,
  blocks: number,
): Spread {
  const batches: { stored: Buffer; batch: Batch }[] = [];
  const src = Buffer.alloc(DECODE_HEADROOM + 2 * blocks * blockSize);
  for (let at = 0; at < sample.length; at += blocks * blockSize) {
    const { stored, bounds } = encode(
      algorithm,
      sample.subarray(at, at + blocks * blockSize),
      blockSize,
    );
    const batch = {
      src,
      base: DECODE_HEADROOM,
      bounds,
      blockSize,
      crcSize: CRC_SIZE,
      crcSeed: CRC_SEED,
    };
    batches.push({ stored, batch });
  }
  const dst = Buffer.alloc(blocks * blockSize);
  const run = (): void => {
    for (const { stored, batch } of batches) {
      src.set(stored, DECODE_HEADROOM);
      const bad = decoder.decode(batch, 0, blocks, dst, 0, blockSize, blockSize);
      if (bad >= 0) throw new Error(`${algorithm}: block ${bad} of ${blocks} does not decode`);
    }
  };
  const rate = rateOf(run, sample.length);
  if (!dst.equals(sample.subarray(sample.length - dst.length))) {
    throw new Error(`${algorithm}: blocks of ${blockSize} bytes decode to something else`);
  }
  return rate;
}

function encode(
  algorithm: Algorithm,
  plain: Buffer,
  blockSize: number,
): { stored: Buffer; bounds: Uint32Array } {
  const parts: Buffer[] = [];
  const bounds = new Uint32Array(plain.length / blockSize + 1);
  for (let i = 0; i < bounds.length - 1; i++) {
    const block = encodeBlock(algorithm, plain.subarray(i * blockSize, (i + 1) * blockSize));
    const crc = Buffer.alloc(CRC_SIZE);
    crc.writeUInt32LE(crc32c(block, 0, block.length, CRC_SEED));
    parts.push(block, crc);
    bounds[i + 1] = (bounds[i] as number) + block.length + CRC_SIZE;
  }
  return { stored: Buffer.concat(parts), bounds };
}

function realBytes(): Buffer {
  const bytes = Buffer.alloc(SAMPLE);
  const fd = openSync(process.execPath, 'r');
  try {
    // The middle of the program is code.
    const n = readSync(fd, bytes, 0, SAMPLE, Math.floor(fstatSync(fd).size / 2 - SAMPLE / 2));
    if (n !== SAMPLE) throw new Error(`${process.execPath}: ${n} bytes, expected ${SAMPLE}`);
  } finally {
    closeSync(fd);
  }
  return bytes;
}
