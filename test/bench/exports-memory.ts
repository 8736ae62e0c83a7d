// Resident memory of a daemon with one image, and what each further export of the same layers adds.
import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { findCase, type Case } from './cases.js';
import type { ImageForms } from './forms.js';
import { residentBytes } from './process-tree.js';
import { Server } from './server.js';

/** Bytes. */
export interface ExportsMemory {
  /** With one image, after the first read. */
  one: number;
  /** With ten. */
  all: number;
  /** Bytes for each of the nine further exports. */
  further: number;
}

const EXPORTS = 10;
/** The heap needs a moment after the start. */
const SETTLE_MS = 500;
const BLOCK = 4096;

/**
 * Starts the daemon in turn with one export and with ten of the same eight layers.
 * @param folder for sockets and the image's configuration
 */
export async function measureExports(
  forms: ImageForms,
  folder: string,
  runs: number,
): Promise<ExportsMemory[]> {
  const { files } = forms.form('lz4-8');
  const config = `${folder}/stack.json`;
  writeFileSync(config, JSON.stringify({ lowers: files.map((file) => ({ file })) }));
  const results: ExportsMemory[] = [];
  for (let run = 0; run < runs; run++) {
    const one = await residentWith(1, config, `${folder}/exports-${run}-1.sock`);
    const all = await residentWith(EXPORTS, config, `${folder}/exports-${run}-all.sock`);
    results.push({ one, all, further: (all - one) / (EXPORTS - 1) });
  }
  return results;
}

async function residentWith(exports: number, config: string, socket: string): Promise<number> {
  const daemon = findCase('obd-lz4-8');
  const served: Case = {
    ...daemon,
    command: (files, at) => [
      ...daemon.command(files, at),
      ...Array.from({ length: exports - 1 }, (_, i) => ['--export', `e${i}=${config}`]).flat(),
    ],
  };
  const server = new Server(served, [config], socket);
  const client = await server.connect();
  await client.read(0, BLOCK);
  await sleep(SETTLE_MS);
  const bytes = residentBytes(server.pid);
  client.close();
  await server.stop();
  return bytes;
}
