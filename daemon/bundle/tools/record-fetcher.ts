// Runs the fetcher of the new bundle once, so that its code cache holds what a first question needs: most of its
// bundle is the HTTP client. It asks a registry on this machine for an image that is not there.

import { once } from 'node:events';
import { accessSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MessageChannel, Worker } from 'node:worker_threads';
import { DEFAULT_REGISTRY_SETTINGS } from '../../config/registry-settings.js';
import { bundleOf } from '../compile.js';

const THREAD = new URL('record-thread.js', import.meta.url);

/**
 * @param entry of the fetcher's thread
 * @throws Error if the thread dies, or if there is no cache afterwards
 */
export async function recordFetcher(entry: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'obd-bundle-'));
  const registry = createServer((_request, response) => response.writeHead(404).end());
  registry.listen(0, '127.0.0.1');
  await once(registry, 'listening');
  const host = `127.0.0.1:${(registry.address() as AddressInfo).port}`;
  const thread = new Worker(THREAD, { workerData: entry });
  try {
    const settings = { ...DEFAULT_REGISTRY_SETTINGS, plainHttp: [host], cacheFolder: folder };
    const { port1, port2 } = new MessageChannel();
    thread.postMessage({ type: 'start', settings, blobs: [] });
    thread.postMessage({ type: 'connect', connection: 1, port: port2 }, [port2]);
    const question = { id: 1, type: 'resolve', text: `${host}/image:tag` };
    port1.postMessage([{ ...question, platform: null, pull: 'always' }]);
    await Promise.race([once(port1, 'message'), failed(thread)]);
    port1.close();
    thread.postMessage({ type: 'write cache' });
    await once(thread, 'exit');
    accessSync(bundleOf(entry).cache);
  } finally {
    await thread.terminate();
    registry.closeAllConnections();
    registry.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function failed(thread: Worker): Promise<never> {
  const [error] = (await once(thread, 'error')) as [Error];
  throw error;
}
