// Where metrics are asked for: HOST:PORT, :PORT, or unix:///PATH. Pure.

import { mismatch } from '../lib/fault.js';

export type MetricsAddress =
  { readonly host: string; readonly port: number } | { readonly path: string };

const LOOPBACK = '127.0.0.1';

/** @throws OverlaybdError BAD_CONFIG */
export function parseMetricsAddress(text: string): MetricsAddress {
  const path = /^unix:\/\/(\/[^\0]*)$/.exec(text)?.[1];
  if (path !== undefined) return { path };
  const match = /^(?:tcp:\/\/)?(?:\[([^\]]+)\]|([^:/[\]]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (!match || port > 65535) {
    const [expected, got] = ['HOST:PORT or unix:///PATH', JSON.stringify(text)];
    throw mismatch('BAD_CONFIG', { section: 'metricsListen', expected, got });
  }
  const host = match[1] ?? match[2] ?? '';
  return { host: host === '' ? LOOPBACK : host, port };
}

export function metricsAddressText(address: MetricsAddress): string {
  if ('path' in address) return `unix://${address.path}`;
  const { host, port } = address;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}/metrics`;
}
