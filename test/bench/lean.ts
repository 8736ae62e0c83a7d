// Runs the lean client (programs/nbd-load.cc) against a Unix socket, and reads its figures.
import { runProgram } from './programs.js';
import type { ClientResult, Work } from './works.js';

/** In addition to the length of the run; the program gives up sooner if the server is silent. */
const GRACE_MS = 40_000;

interface LeanOutput {
  requests: number;
  iops: number;
  /** Microseconds. */
  p50: number;
  p99: number;
}

/**
 * @param program path of nbd-load
 * @param seed of the offsets: the same for every server in a round
 * @throws Error if it fails or if a request failed
 */
export async function runLean(
  program: string,
  work: Work,
  socket: string,
  seconds: number,
  seed: number,
): Promise<ClientResult> {
  const pattern = work.pattern === 'read' ? 'sequential' : 'random';
  const numbers = [work.blockSize, work.depth, work.connections, seconds, seed].map(String);
  const timeout = Math.round(seconds * 1000) + GRACE_MS;
  const output = await runProgram<LeanOutput>(program, [socket, pattern, ...numbers], { timeout });
  if (output === null || output.requests === 0) throw new Error(`${work.name}: no requests`);
  return { ...output, rate: (output.iops * work.blockSize) / 1e6 };
}
