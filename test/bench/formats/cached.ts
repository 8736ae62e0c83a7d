// Random reads of each format when all of its blobs are here: what decoding costs.
import { join } from 'node:path';
import { runFio } from '../fio.js';
import { serve } from '../registry/rivals.js';
import { findWork } from '../works.js';
import { FORMATS, type FormatImages, type FormatName } from './images.js';

/** Bytes of a part of the device that is decoded once and stays decoded. */
export const SMALL_PART = 32 << 20;

export interface FormatCached {
  readonly name: FormatName;
  readonly round: number;
  /** Requests a second in a part of the device, and in all of it. */
  readonly part: number;
  readonly all: number;
}

export async function measureFormatsCached(
  { rounds, seconds }: { readonly rounds: number; readonly seconds: number },
  images: FormatImages,
  folder: string,
  say: (line: string) => void,
): Promise<FormatCached[]> {
  const work = findWork('rand-qd16');
  const samples: FormatCached[] = [];
  for (let round = 1; round <= rounds; round++) {
    for (const { name } of FORMATS) {
      const [image = '', ...options] = images[name].local;
      const socket = join(folder, `cached-${name}-${round}.sock`);
      const server = serve(image, socket, options);
      const client = await server.connect(OPEN_MS);
      // Once over the part, so that it is decoded.
      for (let at = 0; at < SMALL_PART; at += READ) await client.read(at, READ);
      client.close();
      const { iops: part } = await runFio(work, socket, seconds, round, SMALL_PART);
      const { iops: all } = await runFio(work, socket, seconds, round);
      await server.stop();
      samples.push({ name, round, part, all });
      say(`round ${round}: ${name}: ${part.toFixed(0)} and ${all.toFixed(0)} reads a second`);
    }
  }
  return samples;
}

const READ = 256 << 10;
/** An ordinary layer is inflated when it is opened. */
const OPEN_MS = 120_000;
