// What 100,000 small files cost in each format of layers: memory of the daemon, and the time until it serves.
import { existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { setTimeout as sleep } from 'node:timers/promises';
import { writeEstargz } from '../../support/estargz-writer.js';
import { writeZtoc } from '../../support/ztoc-writer.js';
import { residentBytes } from '../process-tree.js';
import { serve } from '../registry/rivals.js';
import { tocFiles } from './images.js';
import { archiveOf, smallFiles } from './tree.js';

export const MANY = 100_000;
const FEW = 10;
const STARTS = 3;
/** The heap needs a moment after the start. */
const SETTLE_MS = 500;
const BLOCK = 4096;
/** It is opened before the daemon listens. */
const OPEN_MS = 120_000;
const SPAN = 4 << 20;

export interface ManyFiles {
  readonly about: string;
  /** Bytes of the layer. */
  readonly size: number;
  /** From exec to the first read, one for each start. */
  readonly milliseconds: readonly number[];
  /** Resident bytes above those with ten files. */
  readonly bytes: readonly number[];
}

interface Layer {
  readonly about: string;
  /** Files and options for `serve`. */
  readonly many: readonly string[];
  readonly few: readonly string[];
}

/** @param folder where layers are kept between runs */
export async function measureManyFiles(
  folder: string,
  sockets: string,
  say: (line: string) => void,
): Promise<ManyFiles[]> {
  mkdirSync(folder, { recursive: true });
  const layers = await makeLayers(folder, say);
  const results: ManyFiles[] = [];
  for (const [i, { about, many, few }] of layers.entries()) {
    const milliseconds: number[] = [];
    const bytes: number[] = [];
    for (let start = 0; start < STARTS; start++) {
      const socket = join(sockets, `many-${i}-${start}`);
      const large = await startOne(many, `${socket}.sock`);
      const small = await startOne(few, `${socket}-few.sock`);
      milliseconds.push(large.milliseconds);
      bytes.push(large.bytes - small.bytes);
    }
    say(`${MANY} files: ${about}: ${milliseconds.map((ms) => ms.toFixed(0)).join(', ')} ms`);
    results.push({ about, size: statSync(many[0] as string).size, milliseconds, bytes });
  }
  return results;
}

async function startOne(
  [file = '', ...options]: readonly string[],
  socket: string,
): Promise<{ milliseconds: number; bytes: number }> {
  const begin = performance.now();
  const server = serve(file, socket, options);
  const client = await server.connect(OPEN_MS);
  await client.read(0, BLOCK);
  const milliseconds = performance.now() - begin;
  await sleep(SETTLE_MS);
  const bytes = residentBytes(server.pid);
  client.close();
  await server.stop();
  return { milliseconds, bytes };
}

async function makeLayers(folder: string, say: (line: string) => void): Promise<Layer[]> {
  const path = (name: string): string => join(folder, name);
  const names = ['tar', 'tar.gz', 'esgz', 'zst', 'soci.gz', 'ztoc'];
  for (const count of [MANY, FEW]) {
    if (names.every((name) => existsSync(path(`${count}.${name}`)))) continue;
    say(`making layers of ${count} files`);
    const files = smallFiles(count);
    const archive = archiveOf(files);
    const { layer, ztoc } = await writeZtoc(archive, { form: 'gzip', spanSize: SPAN });
    const toc = tocFiles(files);
    const blobs = [
      archive,
      gzipSync(archive, { level: 1 }),
      writeEstargz(toc, { form: 'eStargz' }).blob,
      writeEstargz(toc, { form: 'zstd:chunked' }).blob,
      layer,
      ztoc,
    ];
    for (const [i, name] of names.entries()) {
      writeFileSync(path(`${count}.${name}`), blobs[i] as Buffer);
    }
  }
  const layerOf = (about: string, name: string, ztoc?: string): Layer => {
    const words = (count: number): string[] => {
      const beside = ztoc === undefined ? [] : ['--ztoc', path(`${count}.${ztoc}`)];
      return [path(`${count}.${name}`), ...beside];
    };
    return { about, many: words(MANY), few: words(FEW) };
  };
  return [
    layerOf('tar', 'tar'),
    layerOf('tar.gz', 'tar.gz'),
    layerOf('eStargz', 'esgz'),
    layerOf('zstd:chunked', 'zst'),
    layerOf('SOCI', 'soci.gz', 'ztoc'),
  ];
}
