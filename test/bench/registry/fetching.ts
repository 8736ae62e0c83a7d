// What fetching costs: a whole image through one fetcher as fast as it goes, over plain http and over TLS.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CHUNK_SIZE } from '../../../daemon/blob/chunk-map.js';
import { makePki } from '../../support/tls-files.js';
import { FrontProcess, type FrontArguments } from './front.js';
import type { Place } from './place.js';
import { serveRemote } from './rivals.js';

export type Wire = 'http' | 'https';

export interface FetchSample {
  readonly wire: Wire;
  readonly round: number;
  /** Bytes a second. */
  readonly rate: number;
  /** Microseconds of processor time for each chunk of 64 KiB: of the fetcher's thread, and of all threads. */
  readonly fetcher: number;
  readonly all: number;
  /** The part of the time in which the fetcher's thread was busy; below 1, it waited for the registry. */
  readonly busy: number;
}

const POLL_MS = 25;
const READY_SECONDS = 10;
/** More than any machine has: the fill is not held back. */
const FILL_RATE = '100G';
const TICKS_PER_SECOND = 100;

export async function measureFetching(
  place: Place,
  folder: string,
  rounds: number,
  say: (line: string) => void,
): Promise<FetchSample[]> {
  mkdirSync(join(folder, 'pki'));
  const { ca, server } = await makePki(join(folder, 'pki'));
  const samples: FetchSample[] = [];
  for (let round = 1; round <= rounds; round++) {
    for (const wire of ['http', 'https'] as const) {
      const own = join(folder, `fetch-${wire}-${round}`);
      mkdirSync(own);
      const tls = wire === 'https' ? { tls: server } : {};
      const more = wire === 'https' ? ['--registry-ca', ca] : [];
      const sample = await fetchAll({ layout: place.layout, ...tls }, more, place.layerSize, own);
      samples.push({ wire, round, ...sample });
      say(`round ${round}: fetching over ${wire}: ${(sample.rate / 1e6).toFixed(0)} MB/s`);
      rmSync(own, { recursive: true });
    }
  }
  return samples;
}

async function fetchAll(
  arguments_: FrontArguments,
  more: readonly string[],
  size: number,
  folder: string,
): Promise<Omit<FetchSample, 'wire' | 'round'>> {
  const front = await FrontProcess.start(arguments_);
  const metrics = join(folder, 'metrics.sock');
  const options = [...more, '--fill-rate', FILL_RATE, '--metrics-listen', `unix://${metrics}`];
  const socket = join(folder, 's.sock');
  const server = serveRemote({ front, folder, socket }, options);
  (await server.connect()).close();
  // The daemon listens for clients first.
  for (const late = now() + READY_SECONDS; !existsSync(metrics); await sleep(POLL_MS)) {
    if (now() > late) throw server.failure('no socket for metrics');
  }
  // Opening the image is not part of it.
  const [cpu, kept, begin] = [threadSeconds(server.pid), await keptBytes(metrics), now()];
  let bytes = kept;
  while (bytes < size) {
    await sleep(POLL_MS);
    bytes = await keptBytes(metrics);
  }
  const seconds = now() - begin;
  const used = [...threadSeconds(server.pid)].map(([id, value]) => value - (cpu.get(id) ?? 0));
  const chunks = (bytes - kept) / CHUNK_SIZE;
  await server.stop();
  await front.stop();
  // No other thread has as much to do.
  const fetcher = Math.max(...used);
  const all = used.reduce((sum, each) => sum + each, 0);
  return {
    rate: (bytes - kept) / seconds,
    fetcher: (fetcher * 1e6) / chunks,
    all: (all * 1e6) / chunks,
    busy: fetcher / seconds,
  };
}

const now = (): number => performance.now() / 1000;

/** Seconds of processor time of each thread. */
function threadSeconds(pid: number): Map<string, number> {
  const folder = `/proc/${pid}/task`;
  return new Map(
    readdirSync(folder).map((id) => {
      const stat = readFileSync(`${folder}/${id}/stat`, 'utf8');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return [id, (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND];
    }),
  );
}

/** Bytes of blobs that the cache has kept. */
async function keptBytes(socket: string): Promise<number> {
  const text = await new Promise<string>((resolve, reject) => {
    const asked = request({ socketPath: socket, path: '/metrics' }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => (body += part));
      response.once('end', () => resolve(body));
    });
    asked.once('error', reject);
    asked.end();
  });
  const values = text.matchAll(/^obd_kept_bytes_total\{[^}]*\} (\S+)$/gm);
  return [...values].reduce((sum, [, value]) => sum + Number(value), 0);
}
