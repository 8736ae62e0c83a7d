// `--registry`: images that are served while they are fetched. Its measurements, its tables, its document.
import type { Document } from '../docs.js';
import type { ImageForms } from '../forms.js';
import type { BenchOptions } from '../options.js';
import { CachedImage, type CachedSample, type StartSample } from './cached.js';
import { measureChains, type Chain } from './chains.js';
import { measureCold, type ColdResult } from './cold.js';
import { measureFetching, type FetchSample } from './fetching.js';
import { makePlace } from './place.js';
import { measureRemoteMemory, type RemoteMemory } from './remote-memory.js';
import {
  cachedTable,
  chainTable,
  coldTables,
  fetchTable,
  remoteMemoryTable,
  startsTable,
} from './tables.js';

export interface RegistryResult {
  /** Milliseconds. */
  readonly latency: number;
  /** Bytes a second. */
  readonly rate: number;
  /** Bytes of the disk, and of its one layer. */
  readonly sizes: { readonly disk: number; readonly layer: number };
  readonly chains: readonly Chain[];
  readonly cold: ColdResult;
  readonly cached: readonly CachedSample[];
  readonly starts: readonly StartSample[];
  readonly fetching: readonly FetchSample[];
  readonly memory: readonly RemoteMemory[];
}

/** @param folder for sockets, caches and mounts */
export async function measureRegistry(
  options: Pick<BenchOptions, 'rounds' | 'seconds' | 'latency' | 'rate'>,
  forms: ImageForms,
  folder: string,
  say: (line: string) => void,
): Promise<RegistryResult> {
  const { latency, rate } = options;
  const place = await makePlace(forms);
  const sizes = { disk: forms.virtualSize, layer: place.layerSize };
  say('opening: requests that follow one another');
  const chains = await measureChains(place, folder, latency);
  const memory = await measureRemoteMemory(folder);
  const fetching = await measureFetching(place, folder, options.rounds, say);
  const image = await CachedImage.fetch(place, folder, forms.virtualSize);
  const starts = await image.starts();
  const cached = await image.speed(options, say);
  const cold = await measureCold(options, place, folder, say);
  return { latency, rate, sizes, chains, cold, cached, starts, fetching, memory };
}

/** `--only cached`: the speed of a cached image alone. */
export async function measureCached(
  options: Pick<BenchOptions, 'rounds' | 'seconds'>,
  forms: ImageForms,
  folder: string,
  say: (line: string) => void,
): Promise<CachedSample[]> {
  const place = await makePlace(forms);
  const image = await CachedImage.fetch(place, folder, forms.virtualSize);
  return image.speed(options, say);
}

export function registryTables(result: RegistryResult): string[] {
  const { chains, cold, cached, starts, fetching, memory } = result;
  return [
    chainTable(chains),
    ...coldTables(cold),
    cachedTable(cached),
    startsTable(starts),
    fetchTable(fetching),
    remoteMemoryTable(memory),
  ];
}

export function registryDocument(
  result: RegistryResult,
  preamble: string,
  machine: object,
): Document {
  const { latency, rate, sizes } = result;
  const [disk, layer] = [sizes.disk, sizes.layer].map((bytes) => (bytes / (1 << 20)).toFixed(0));
  const about =
    `${preamble} The registry answers after ${latency} ms and sends ${rate / 1e6} MB/s; ` +
    `the disk has ${disk} MiB, its layer ${layer} MiB.`;
  return {
    section: 'registry',
    markdown: [about, ...registryTables(result)].join('\n\n'),
    charts: [],
    data: { machine, ...result },
  };
}
