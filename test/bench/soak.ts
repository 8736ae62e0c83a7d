// `--soak`: one daemon under full load for a long time, whose memory must not grow.
import { findCase, type CaseName } from './cases.js';
import type { Document } from './docs.js';
import { runFio } from './fio.js';
import type { ImageForms } from './forms.js';
import { lineChart } from './line-chart.js';
import { MemoryWatch, type MemorySample } from './memory-watch.js';
import { table } from './report.js';
import { Server } from './server.js';
import { spreadOf } from './summary.js';
import { findWork } from './works.js';

const MIB = 1 << 20;
/** Share of the time after which memory has to be steady, and the most seconds. */
const WARM_UP_SHARE = 0.2;
const WARM_UP_MOST = 120;
/** Bytes by which the median of the last quarter may exceed that of the first one after the warm-up. */
const GROWTH_BOUND = { resident: 8 * MIB, heap: 4 * MIB } as const;

/** Seconds of one fio run: connections are opened and closed too. */
const LOAD_SECONDS = 20;
const SERVED: CaseName = 'obd-lz4-8';
const LOADS = ['rand-qd16x4', 'seq-qd4x2'] as const;

export interface SoakResult {
  seconds: number;
  requests: number;
  samples: MemorySample[];
  /** Bytes after the warm-up: medians of the first and the last quarter. */
  growth: {
    what: 'resident' | 'heap';
    first: number;
    last: number;
    bound: number;
    good: boolean;
  }[];
}

/**
 * Random and sequential load at the same time.
 * @param folder for the socket and the heap probe's file
 * @throws Error when the daemon or a request fails
 */
export async function soak(
  forms: ImageForms,
  folder: string,
  seconds: number,
  say: (line: string) => void,
): Promise<SoakResult> {
  const served = findCase(SERVED);
  const heapFile = `${folder}/heap`;
  const probe = new URL('./heap-probe.js', import.meta.url).href;
  const server = new Server(served, forms.form(served.form).files, `${folder}/soak.sock`, {
    ...process.env,
    NODE_OPTIONS: `--import=${probe}`,
    OVERLAYBD_BENCH_HEAP: heapFile,
  });
  const [raw = ''] = forms.form('raw').files;
  await server.check(raw, forms.virtualSize);
  const watch = new MemoryWatch(server.pid, heapFile);
  const start = performance.now();
  let requests = 0;
  for (let round = 0; ; round++) {
    const elapsed = (performance.now() - start) / 1000;
    const left = seconds - elapsed;
    if (left < 1) break;
    say(`${elapsed.toFixed(0)} of ${seconds} s, ${requests} requests`);
    const length = Math.min(LOAD_SECONDS, left);
    const loads = LOADS.map((name) => runFio(findWork(name), server.socket, length, round));
    for (const result of await Promise.all(loads)) requests += result.requests;
  }
  watch.stop();
  // Wrong answers would be fast answers.
  await server.check(raw, forms.virtualSize);
  await server.stop();
  return { seconds, requests, samples: watch.samples, growth: growthOf(watch.samples, seconds) };
}

function growthOf(samples: readonly MemorySample[], seconds: number): SoakResult['growth'] {
  const warm = Math.min(WARM_UP_MOST, seconds * WARM_UP_SHARE);
  const steady = samples.filter(({ time }) => time >= warm);
  const quarter = Math.max(1, Math.floor(steady.length / 4));
  return (['resident', 'heap'] as const).map((what) => {
    const median = (part: readonly MemorySample[]): number =>
      spreadOf(part.map((sample) => sample[what])).median;
    const first = median(steady.slice(0, quarter));
    const last = median(steady.slice(-quarter));
    const bound = GROWTH_BOUND[what];
    return { what, first, last, bound, good: last - first <= bound };
  });
}

function mib(bytes: number): string {
  return (bytes / MIB).toFixed(1);
}

export function soakTable({ seconds, requests, growth }: SoakResult): string {
  const head = [
    `MiB; ${seconds} s, ${requests} requests`,
    'first',
    'last',
    'may grow by',
    'verdict',
  ];
  const body = growth.map(({ what, first, last, bound, good }) => [
    what === 'heap' ? 'JavaScript heaps' : 'resident memory',
    mib(first),
    mib(last),
    mib(bound),
    good ? 'steady' : '**grows**',
  ]);
  return table([head, ...body]);
}

export function soakDocument(result: SoakResult, preamble: string, machine: object): Document {
  const title = `Memory under full load: ${findCase(SERVED).about}`;
  const series = (['resident', 'anonymous', 'heap', 'external'] as const).map((what) => ({
    label: what,
    points: result.samples.map((sample) => [sample.time / 60, sample[what] / MIB] as const),
  }));
  const minutes = result.seconds / 60;
  const ticks = [0, 0.2, 0.4, 0.6, 0.8, 1].map((share) => Math.round(share * minutes * 10) / 10);
  const axes = { x: 'minutes', y: 'MiB', ticks, logarithmic: false };
  const { samples, ...rest } = result;
  return {
    section: 'soak',
    markdown: [preamble, soakTable(result)].join('\n\n'),
    charts: [{ name: 'soak', title, svg: lineChart(title, axes, series) }],
    data: { machine, ...rest, samples: samples.length },
  };
}
