// Resident memory of a daemon with images of a registry, each with three layers of its own.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ImageLayout } from '../../support/registry/image-layout.js';
import { writeLayerFiles } from '../../support/registry/layer-files.js';
import { pushImage } from '../../support/registry/push-image.js';
import { NbdClient } from '../nbd-client.js';
import { residentBytes } from '../process-tree.js';
import { FrontProcess } from './front.js';
import { serveRemote } from './rivals.js';

export interface RemoteMemory {
  readonly images: number;
  /** Bytes when it is ready. */
  readonly idle: number;
  /** Bytes after all of each image was read once. */
  readonly after: number;
}

const REMOTE_IMAGES = 20;
const SIZE = 8 << 20;
const PIECE = 64 << 10;
const RUNS = 3;
/** The heap needs a moment. */
const SETTLE_MS = 500;

export async function measureRemoteMemory(folder: string): Promise<RemoteMemory[]> {
  const layout = join(folder, 'memory-layout');
  const place = new ImageLayout(layout);
  const tags = Array.from({ length: REMOTE_IMAGES }, (_, i) => `image${i}`);
  for (const [i, tag] of tags.entries()) {
    const files = join(folder, tag);
    mkdirSync(files);
    await pushImage(place, { ...writeLayerFiles(files, { size: SIZE, seed: 10 * i + 1 }), tag });
  }
  const front = await FrontProcess.start({ layout });
  const results: RemoteMemory[] = [];
  for (let run = 0; run < RUNS; run++) {
    for (const images of [1, REMOTE_IMAGES]) {
      const own = join(folder, `memory-${images}-${run}`);
      mkdirSync(own);
      results.push({ images, ...(await residentWith(front, tags.slice(0, images), own)) });
    }
  }
  await front.stop();
  return results;
}

async function residentWith(
  front: FrontProcess,
  tags: readonly string[],
  folder: string,
): Promise<Omit<RemoteMemory, 'images'>> {
  const [first = '', ...others] = tags;
  const exports = others.flatMap((tag) => ['--export', `${tag}=${front.name(tag)}`]);
  const socket = join(folder, 's.sock');
  const server = serveRemote({ front, folder, socket }, exports, first);
  (await server.connect()).close();
  await sleep(SETTLE_MS);
  const idle = residentBytes(server.pid);
  for (const name of ['', ...others]) {
    const client = await NbdClient.open(socket, name);
    for (let at = 0; at < SIZE; at += PIECE) await client.read(at, PIECE);
    client.close();
  }
  await sleep(SETTLE_MS);
  const after = residentBytes(server.pid);
  await server.stop();
  return { idle, after };
}
