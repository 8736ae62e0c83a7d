// An image behind a fault front, and what a test compares its device with.
import type { NetConnectOpts } from 'node:net';
import { join } from 'node:path';
import type { Test } from 'tap';
import { shortFolder } from '../daemon-process.js';
import { RawNbdClient, tick } from '../nbd-client.js';
import { FaultFront, type FrontOptions } from './fault-front.js';
import { ImageLayout } from './image-layout.js';
import { writeLayerFiles, type LayerFiles, type LayerFilesOptions } from './layer-files.js';
import { pushImage, type ImageOptions, type PushedImage } from './push-image.js';

export interface RemoteImageOptions {
  readonly files?: LayerFilesOptions;
  readonly image?: Partial<ImageOptions>;
  readonly front?: Partial<FrontOptions>;
}

export interface RemoteImage {
  readonly front: FaultFront;
  readonly layout: ImageLayout;
  readonly image: PushedImage;
  readonly files: LayerFiles;
  /** The reference of the image. */
  readonly name: string;
}

export const REPOSITORY = 'test/app';

/** Milliseconds: nothing that is asked takes so long, on the slowest machine. Longer than any deadline of a test. */
export const PATIENCE = 60_000;

export async function remoteImage(
  t: Test,
  { files: made = {}, image: how = {}, front: like = {} }: RemoteImageOptions = {},
): Promise<RemoteImage> {
  const files = writeLayerFiles(shortFolder(t), made);
  return { ...(await pushedImage(t, files.blobs, how, like)), files };
}

/** The same of layers that are there. @param blobs their paths, bottom first */
export async function pushedImage(
  t: Test,
  blobs: readonly string[],
  how: Partial<ImageOptions> = {},
  like: Partial<FrontOptions> = {},
): Promise<Omit<RemoteImage, 'files'>> {
  const layout = new ImageLayout(join(shortFolder(t), 'layout'));
  const image = await pushImage(layout, { blobs, tag: 'app', ...how });
  const front = await FaultFront.start(t, { repositories: { [REPOSITORY]: layout }, ...like });
  return { front, layout, image, name: front.name(REPOSITORY, how.tag ?? 'app') };
}

/**
 * Options of the daemon for images of these fronts.
 * @param deadline seconds; one that no busy machine misses if left out
 */
export function remoteOptions(
  fronts: readonly FaultFront[],
  cache: string,
  deadline = 100,
): string[] {
  const hosts = fronts.flatMap(({ host, storeHost }) => [host, storeHost]);
  const plain = hosts.flatMap((host) => ['--plain-http', host]);
  const kept = ['--cache-dir', cache, '--cache-min-free', '0'];
  return [...plain, ...kept, '--fetch-deadline', `${deadline}`];
}

/** @returns the bytes, or the number of the error */
export async function readOrError(
  client: RawNbdClient,
  offset: number,
  length: number,
): Promise<Buffer | number> {
  client.request({ cookie: 77n, offset, length });
  const { error, cookie } = await client.reply(PATIENCE);
  if (cookie !== 77n) throw new Error(`cookie ${cookie}, expected 77`);
  return error === 0 ? client.take(length, PATIENCE) : error;
}

/** An export whose image may not be open yet: a busy machine may have missed the first deadline. */
export async function openPatiently(to: NetConnectOpts, name = ''): Promise<RawNbdClient> {
  for (const end = performance.now() + PATIENCE; ; await tick(100)) {
    const client = await RawNbdClient.connect(to);
    try {
      await client.handshake();
      await client.go(name);
      return client;
    } catch (error) {
      client.destroy();
      if (performance.now() > end) throw error;
    }
  }
}

const PIECE = 256 << 10;

/**
 * Reads the device from `from` to `to`, in pieces, and compares. @returns null if all is right, else a line about the first
 * thing that is not; wrong bytes are never taken for an error
 */
export async function compare(
  client: RawNbdClient,
  device: Buffer,
  from = 0,
  to = device.length,
  piece = PIECE,
): Promise<string | null> {
  let failed: string | null = null;
  for (let at = from; at < to; at += piece) {
    const length = Math.min(piece, to - at);
    const got = await readOrError(client, at, length);
    if (typeof got === 'number') {
      failed ??= `error ${got} at ${at}`;
    } else if (!got.equals(device.subarray(at, at + length))) {
      const wrong = got.findIndex((byte, i) => byte !== device[at + i]);
      return `WRONG BYTES at ${at + wrong}`;
    }
  }
  return failed;
}

/** Reads until all is right. @returns what is still wrong when patience ends; wrong bytes at once */
export async function comparePatiently(
  client: RawNbdClient,
  device: Buffer,
  from = 0,
  to = device.length,
): Promise<string | null> {
  for (const end = performance.now() + PATIENCE; ; await tick(100)) {
    const problem = await compare(client, device, from, to);
    if (problem === null || problem.startsWith('WRONG') || performance.now() > end) return problem;
  }
}
