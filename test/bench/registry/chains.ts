// How many requests follow one another until an image of a registry is open, counted by the front.
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { FrontProcess } from './front.js';
import { DIRECT_TAG, INDEX_TAG, type Place } from './place.js';
import { serveRemote } from './rivals.js';

export interface Chain {
  readonly about: string;
  /** Requests, each of which began after the one before had ended; without the one for a token. */
  readonly trips: number;
  readonly requests: number;
  /** From exec until the daemon answers a client. */
  readonly seconds: number;
}

const OPENINGS = [
  { about: 'directly', redirect: false, tag: DIRECT_TAG },
  { about: 'with an index', redirect: false, tag: INDEX_TAG },
  { about: 'with a redirect', redirect: true, tag: DIRECT_TAG },
  { about: 'with both', redirect: true, tag: INDEX_TAG },
] as const;

/** The one in the middle counts. */
const RUNS = 3;

/** @param latency milliseconds; without it, requests that are sent together would not overlap */
export async function measureChains(
  place: Place,
  folder: string,
  latency: number,
): Promise<Chain[]> {
  const chains: Chain[] = [];
  for (const opening of OPENINGS) {
    // On a busy machine, requests that are meant to go together may not: then a run has more.
    const runs: Chain[] = [];
    for (let run = 0; run < RUNS; run++) {
      runs.push(
        await measure(opening, place, join(folder, `chain-${chains.length}-${run}`), latency),
      );
    }
    const sorted = runs.toSorted((one, other) => one.trips - other.trips);
    chains.push(sorted[(RUNS - 1) / 2] as Chain);
  }
  return chains;
}

async function measure(
  { about, redirect, tag }: (typeof OPENINGS)[number],
  { layout }: Place,
  folder: string,
  latency: number,
): Promise<Chain> {
  const front = await FrontProcess.start({ layout, latency, redirect, tokens: true });
  mkdirSync(folder);
  const begin = performance.now();
  const server = serveRemote({ front, folder, socket: join(folder, 's.sock') }, [], tag);
  const client = await server.connect();
  const seconds = (performance.now() - begin) / 1000;
  const { longestChain, requests } = await front.counts();
  client.close();
  await server.stop();
  await front.stop();
  rmSync(folder, { recursive: true });
  return { about, trips: longestChain, requests, seconds };
}
