// Micro benchmarks of the jump table and of parsing NBD requests.
import { NBD_CMD, NBD_REQUEST_MAGIC, REQUEST_SIZE } from '../../daemon/nbd/constants.js';
import { Request } from '../../daemon/nbd/request.js';
import { JumpTableBuilder } from '../../daemon/zfile/jump-table.js';
import { seededRandom } from '../support/pattern.js';
import { rateOf } from './rate.js';
import type { Spread } from './summary.js';

const QUERIES = 1 << 16;
const REQUESTS = 1 << 12;

export interface TableRates {
  /** Blocks looked up a second, random, each with its end. */
  jumpTable: { blocks: number; rate: Spread }[];
  /** Requests parsed a second. */
  parsing: Spread;
}

export function measureTables(): TableRates {
  return { jumpTable: [10_000, 1_000_000].map(measureJumpTable), parsing: measureParsing() };
}

/** Blocks of 4 KiB that compress to about a half. */
function measureJumpTable(blocks: number): { blocks: number; rate: Spread } {
  const builder = new JumpTableBuilder({
    blob: 'bench',
    count: blocks,
    blockSize: 4096,
    verify: true,
    dictSize: 0,
    indexOffset: 2 ** 40,
  });
  const next = seededRandom(blocks);
  const lengths = Buffer.alloc(4 * blocks);
  for (let i = 0; i < blocks; i++) lengths.writeUInt32LE(1024 + ((next() >>> 8) % 2048), 4 * i);
  builder.push(lengths, blocks);
  const table = builder.finish();
  const queries = Uint32Array.from({ length: QUERIES }, () => (next() >>> 8) % blocks);
  let sum = 0;
  const batch = (): void => {
    for (let i = 0; i < queries.length; i++) {
      const block = queries[i] as number;
      sum += table.offsetOf(block + 1) - table.offsetOf(block);
    }
  };
  const rate = rateOf(batch, QUERIES);
  if (!(sum > 0)) throw new Error('jump table: no lengths');
  return { blocks, rate };
}

function measureParsing(): Spread {
  const bytes = Buffer.alloc(REQUESTS * REQUEST_SIZE);
  for (let i = 0; i < REQUESTS; i++) {
    const at = i * REQUEST_SIZE;
    bytes.writeUInt32BE(NBD_REQUEST_MAGIC, at);
    bytes.writeUInt16BE(NBD_CMD.READ, at + 6);
    bytes.writeUInt32BE(i, at + 12);
    bytes.writeUInt32BE(4096 * i, at + 20);
    bytes.writeUInt32BE(4096, at + 24);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const request = new Request();
  let sum = 0;
  const batch = (): void => {
    for (let at = 0; at < bytes.length; at += REQUEST_SIZE) {
      request.parse(view, at, false);
      sum += request.offset + request.length;
    }
  };
  const rate = rateOf(batch, REQUESTS);
  if (!(sum > 0)) throw new Error('requests: nothing was parsed');
  return rate;
}
