// The time from starting a server to its first answer, as a user sees it who waits for a device.
import { findCase, type CaseName } from './cases.js';
import type { ImageForms } from './forms.js';
import { Server } from './server.js';

export interface StartTime {
  server: CaseName;
  /** Milliseconds, one for each start. */
  times: number[];
}

const STARTS = 5;
const BLOCK = 4096;

/** One layer, the eight of the goal, and a server in C to compare with. */
const STARTED: readonly CaseName[] = ['obd-lsmt', 'obd-lz4', 'obd-lz4-8', 'nbdkit'];

/**
 * Starts each server several times, in turn: exec, connect as soon as there is a listener, read
 * 4 KiB. Files and programs are in the page cache.
 * @param folder for sockets
 */
export async function measureStart(forms: ImageForms, folder: string): Promise<StartTime[]> {
  const results = STARTED.map((server): StartTime => ({ server, times: [] }));
  for (let start = 0; start <= STARTS; start++) {
    for (const { server: name, times } of results) {
      const served = findCase(name);
      const { files } = forms.form(served.form);
      const begin = performance.now();
      const server = new Server(served, files, `${folder}/${name}-start-${start}.sock`);
      const client = await server.connect();
      await client.read(forms.virtualSize / 2, BLOCK);
      const time = performance.now() - begin;
      client.close();
      await server.stop();
      // The first start sometimes finds cold caches.
      if (start > 0) times.push(time);
    }
  }
  return results;
}
