// One measurement of one server, and the figures that follow from what the client and the kernel counted.
import type { RowName } from './cases.js';
import type { ClientResult, MetricName, WorkName } from './works.js';

export interface Sample extends ClientResult, Record<MetricName, number> {
  server: RowName;
  work: WorkName;
  round: number;
  /** Microseconds of processor time that the server used for each request. */
  cpu: number;
}

export interface Measurement {
  server: RowName;
  work: WorkName;
  round: number;
  result: ClientResult;
  /** Processor time of the server. */
  cpuSeconds: number;
}

export function makeSample({ server, work, round, result, cpuSeconds }: Measurement): Sample {
  const seconds = result.requests / result.iops;
  const gigabytes = (result.rate * seconds) / 1000;
  const cpu = (cpuSeconds * 1e6) / result.requests;
  return { server, work, round, ...result, cpu, cpuGb: cpuSeconds / gigabytes, seconds };
}
