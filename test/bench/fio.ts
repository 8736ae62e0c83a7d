// Runs one fio job with its NBD engine against a Unix socket, and reads its figures.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { messageOf } from '../../daemon/errors.js';
import type { ClientResult, Work } from './works.js';

const run = promisify(execFile);

/** In addition to the length of the job. */
const GRACE_MS = 20_000;

/** The used part of fio's JSON. */
interface FioOutput {
  jobs: {
    error: number;
    read: {
      iops: number;
      bw_bytes: number;
      total_ios: number;
      lat_ns: { percentile?: Record<string, number> };
    };
  }[];
}

/**
 * @param seed of the offsets: the same for every server in a round
 * @param end bytes of the export that are read, from its beginning; all if left out
 * @throws Error with fio's output if it fails or if a request failed
 */
export async function runFio(
  work: Work,
  socket: string,
  seconds: number,
  seed: number,
  end?: number,
): Promise<ClientResult> {
  const args = [
    // Threads, so that killing fio leaves no process.
    '--name=bench',
    '--thread',
    '--ioengine=nbd',
    `--uri=nbd+unix:///?socket=${socket}`,
    `--rw=${work.pattern}`,
    `--bs=${work.blockSize}`,
    `--iodepth=${work.depth}`,
    `--numjobs=${work.connections}`,
    '--group_reporting',
    `--randseed=${seed}`,
    // Without a map of the blocks that were read: it would make fio slower, and runs are longer than one pass over the
    // device.
    '--norandommap',
    ...(end === undefined ? [] : [`--size=${end}`]),
    '--time_based',
    `--runtime=${Math.round(seconds * 1000)}ms`,
    '--lat_percentiles=1',
    '--clat_percentiles=0',
    '--percentile_list=50:99',
    '--output-format=json',
  ];
  const where = `fio ${work.name} on ${socket}`;
  const timeout = Math.round(seconds * 1000) + GRACE_MS;
  let text: string;
  try {
    text = (await run('fio', args, { timeout, killSignal: 'SIGKILL' })).stdout;
  } catch (error) {
    const hung = error instanceof Error && 'killed' in error && error.killed === true;
    const why = hung ? `no result after ${timeout} ms: a request hangs?` : messageOf(error);
    throw new Error(`${where}: ${why}`, { cause: error });
  }
  // Notes may precede the JSON.
  const [job] = (JSON.parse(text.slice(text.indexOf('{'))) as FioOutput).jobs;
  const { '50.000000': p50, '99.000000': p99 } = job?.read.lat_ns.percentile ?? {};
  if (
    !job ||
    p50 === undefined ||
    p99 === undefined ||
    job.error !== 0 ||
    job.read.total_ios === 0
  ) {
    throw new Error(
      `${where}: error ${job?.error ?? 'unknown'}, ${job?.read.total_ios ?? 0} requests`,
    );
  }
  const { iops, bw_bytes: bytes, total_ios: requests } = job.read;
  return { p50: p50 / 1000, p99: p99 / 1000, iops, rate: bytes / 1e6, requests };
}
