// The metrics of a daemon, as Prometheus would read them.
import { get } from 'node:http';
import { tick } from './nbd-client.js';

/** @param socketPath of --metrics-listen unix://... */
export function readMetrics(socketPath: string): Promise<string> {
  return new Promise((resolve, reject) => {
    get({ socketPath, path: '/metrics', agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (part: string) => (body += part));
      response.on('end', () => resolve(body));
    }).on('error', reject);
  });
}

/** Asks until it is so. */
export async function untilMetrics(
  socketPath: string,
  isSo: (body: string) => boolean,
): Promise<string> {
  for (;;) {
    const body = await readMetrics(socketPath);
    if (isSo(body)) return body;
    await tick(10);
  }
}

/** @param sample name and labels; NaN if there is none */
export function metricOf(body: string, sample: string): number {
  const line = body.split('\n').find((each) => each.startsWith(`${sample} `));
  return Number(line?.split(' ').at(-1) ?? NaN);
}
