// `--registry`: images that are served while they are fetched. Its measurements, its tables, its document.
import type { Document } from '../docs.js';
import type { ImageForms } from '../forms.js';
import type { BenchOptions } from '../options.js';
import { measureChains, type Chain } from './chains.js';
import { measureCold, type ColdResult } from './cold.js';
import { makePlace } from './place.js';
import { chainTable, coldTables } from './tables.js';

export interface RegistryResult {
  /** Milliseconds. */
  readonly latency: number;
  /** Bytes a second. */
  readonly rate: number;
  /** Bytes of the disk, and of its one layer. */
  readonly sizes: { readonly disk: number; readonly layer: number };
  readonly chains: readonly Chain[];
  readonly cold: ColdResult;
}

/** @param folder for sockets, caches and mounts */
export async function measureRegistry(
  options: Pick<BenchOptions, 'rounds' | 'latency' | 'rate'>,
  forms: ImageForms,
  folder: string,
  say: (line: string) => void,
): Promise<RegistryResult> {
  const { latency, rate } = options;
  const place = await makePlace(forms);
  const sizes = { disk: forms.virtualSize, layer: place.layerSize };
  say('opening: requests that follow one another');
  const chains = await measureChains(place, folder, latency);
  const cold = await measureCold(options, place, folder, say);
  return { latency, rate, sizes, chains, cold };
}

export function registryTables(result: RegistryResult): string[] {
  return [chainTable(result.chains), ...coldTables(result.cold)];
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
