// The first file and a start of a program from each format, from nothing: an empty cache, a new process, a new mount.
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { mustRun } from '../../support/tools.js';
import { DiskMount } from '../registry/disk-mount.js';
import { FrontProcess, type FrontCounts } from '../registry/front.js';
import { serveRemote } from '../registry/rivals.js';
import type { Server } from '../server.js';
import { FORMATS, type FormatName } from './images.js';
import { sha256 } from '../../support/registry/image-place.js';
import type { ImageFile } from './tree.js';

export type ColdRival = FormatName | 'pull';

/** One run. */
export interface FormatSample {
  readonly rival: ColdRival;
  readonly round: number;
  readonly first: Fetched;
  readonly start: Fetched;
}

/** From the start of the first program on. */
export interface Fetched extends Pick<FrontCounts, 'requests' | 'bytes'> {
  readonly seconds: number;
}

/** A rival that cannot do it, and why. */
export interface SkippedRival {
  readonly rival: ColdRival;
  readonly why: string;
}

export interface FormatsCold {
  readonly samples: readonly FormatSample[];
  readonly skipped: readonly SkippedRival[];
  /** Bytes of the files that the start of a program reads, and how many they are. */
  readonly start: { readonly bytes: number; readonly files: number };
}

export interface FormatsColdOptions {
  readonly rounds: number;
  /** Milliseconds. */
  readonly latency: number;
  /** Bytes a second. */
  readonly rate: number;
}

/** A start of a program reads one file of this many. */
const START_EVERY = 20;
/** No further round begins after this time. */
const COLD_MS = 200_000;

export async function measureFormatsCold(
  options: FormatsColdOptions,
  layout: string,
  files: readonly ImageFile[],
  folder: string,
  say: (line: string) => void,
): Promise<FormatsCold> {
  const work = workOf(files);
  const samples: FormatSample[] = [];
  const skipped = new Map<ColdRival, string>();
  const begin = performance.now();
  for (let round = 1; round <= options.rounds; round++) {
    if (performance.now() - begin > COLD_MS) {
      say(`no time for round ${round} of ${options.rounds}`);
      break;
    }
    for (const rival of [...FORMATS.map(({ name }) => name), 'pull' as const]) {
      if (skipped.has(rival)) continue;
      const own = join(folder, `${rival}-${round}`);
      mkdirSync(own);
      try {
        const sample = await measureOne(rival, options, layout, own, work);
        samples.push({ rival, round, ...sample });
        const { first, start } = sample;
        say(`round ${round}: ${rival}: ${textOf(first)}; start: ${textOf(start)}`);
      } catch (error) {
        // The only one that a version may not have.
        if (rival !== 'plain') throw error;
        skipped.set(rival, String(error).split('\n', 3).join(' '));
        say(`${rival}: skipped: ${String(error)}`);
      } finally {
        rmSync(own, { recursive: true, force: true });
      }
    }
  }
  const list = [...skipped].map(([rival, why]) => ({ rival, why }));
  return { samples, skipped: list, start: { bytes: work.bytes, files: work.start.length } };
}

interface ColdFiles {
  readonly first: ImageFile;
  readonly start: readonly ImageFile[];
  readonly bytes: number;
}

/** The first file is one of about 64 KiB in the middle. */
function workOf(files: readonly ImageFile[]): ColdFiles {
  const from = Math.floor(files.length / 2);
  const first = files.slice(from).find(isMiddling) ?? files[from];
  if (!first) throw new Error('an image without files');
  const start = files.filter((_, i) => i % START_EVERY === START_EVERY - 1);
  return { first, start, bytes: start.reduce((sum, { bytes }) => sum + bytes.length, 0) };
}

function isMiddling({ bytes }: ImageFile): boolean {
  return bytes.length >= 48 << 10 && bytes.length < 80 << 10;
}

async function measureOne(
  rival: ColdRival,
  { latency, rate }: FormatsColdOptions,
  layout: string,
  folder: string,
  work: ColdFiles,
): Promise<Pick<FormatSample, 'first' | 'start'>> {
  if (rival === 'plain') await openOnce(layout, folder);
  const front = await FrontProcess.start({ layout, latency, rate });
  const begin = performance.now();
  const place =
    rival === 'pull' ? await pulled(front, layout, folder) : await mounted(rival, front, folder);
  const look = async (files: readonly ImageFile[]): Promise<Fetched> => {
    const got = files.map(({ name }) => readFileSync(join(place.path, name)));
    const seconds = (performance.now() - begin) / 1000;
    for (const [i, { name, bytes }] of files.entries()) {
      if (sha256(got[i] as Buffer) !== sha256(bytes)) throw new Error(`${rival}: ${name} is wrong`);
    }
    const { requests, bytes } = await front.counts();
    return { seconds, requests, bytes };
  };
  const first = await look([work.first]);
  const start = await look(work.start);
  await place.close();
  await front.stop();
  return { first, start };
}

interface Place {
  readonly path: string;
  close(): Promise<void>;
}

async function mounted(rival: FormatName, front: FrontProcess, folder: string): Promise<Place> {
  const socket = join(folder, 's.sock');
  const server = serveRemote({ front, folder, socket }, [], rival);
  (await server.connect(OPEN_MS)).close();
  const mount = await DiskMount.open(folder, socket, EROFS);
  const close = async (): Promise<void> => {
    await mount.close();
    await server.stop();
  };
  return { path: mount.path, close };
}

const EROFS = { type: 'erofs', options: 'ro' };
/** The first use of an ordinary image takes long: all of it is fetched and inflated. */
const OPEN_MS = 120_000;

/** The first use, without latency, in the cache that the measured one finds. */
async function openOnce(layout: string, folder: string): Promise<void> {
  const front = await FrontProcess.start({ layout });
  const socket = join(folder, 'first.sock');
  const server: Server = serveRemote({ front, folder, socket }, [], 'plain');
  (await server.connect(OPEN_MS)).close();
  await server.stop();
  await front.stop();
}

/** What a runtime does without lazy pulling: the whole layer, unpacked. */
async function pulled(front: FrontProcess, layout: string, folder: string): Promise<Place> {
  const path = join(folder, 'unpacked');
  mkdirSync(path);
  const index = JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8')) as Index;
  const tagged = index.manifests.find(
    ({ annotations }) => annotations['org.opencontainers.image.ref.name'] === 'plain',
  );
  const blob = (digest: string): string => join(layout, 'blobs', ...digest.split(':'));
  const manifest = JSON.parse(readFileSync(blob(tagged?.digest ?? ''), 'utf8')) as Manifest;
  const url = front.blobUrl(manifest.layers[0].digest);
  const words = `curl --silent --show-error --fail '${url}' | tar -xz -C '${path}'`;
  await mustRun('bash', ['-o', 'pipefail', '-c', words]);
  return { path, close: () => Promise.resolve() };
}

interface Index {
  readonly manifests: readonly {
    readonly digest: string;
    readonly annotations: Readonly<Record<string, string>>;
  }[];
}

interface Manifest {
  readonly layers: readonly [{ readonly digest: string }];
}

function textOf({ seconds, requests, bytes }: Fetched): string {
  return `${seconds.toFixed(2)} s, ${requests} requests, ${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
