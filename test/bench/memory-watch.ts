// Samples of a process's memory while it works: from /proc, and from the heap probe in its threads.
import { readFileSync } from 'node:fs';
import { residentBytes } from './process-tree.js';

/** Bytes, and seconds since the beginning. */
export interface MemorySample {
  time: number;
  resident: number;
  /** Resident and anonymous: heaps, buffers, stacks. */
  anonymous: number;
  /** Used in the JavaScript heaps of all threads. */
  heap: number;
  /** Outside the heaps but held by them: buffers. Memory that threads share counts for each thread. */
  external: number;
}

const INTERVAL_MS = 1000;

export class MemoryWatch {
  readonly samples: MemorySample[] = [];
  readonly #pid: number;
  readonly #heapFile: string;
  readonly #start = Date.now();
  readonly #timer: NodeJS.Timeout;
  #failure: unknown;

  /** @param heapFile the file that the heap probe writes */
  constructor(pid: number, heapFile: string) {
    this.#pid = pid;
    this.#heapFile = heapFile;
    this.#timer = setInterval(() => this.#sample(), INTERVAL_MS);
  }

  /** @throws the first error of a sample */
  stop(): void {
    clearInterval(this.#timer);
    if (this.#failure !== undefined) throw this.#failure as Error;
    this.#addHeaps();
  }

  #sample(): void {
    try {
      const text = readFileSync(`/proc/${this.#pid}/smaps_rollup`, 'utf8');
      const anonymous = Number(/^Anonymous:\s+(\d+) kB$/m.exec(text)?.[1] ?? 0) * 1024;
      const time = (Date.now() - this.#start) / 1000;
      const resident = residentBytes(this.#pid);
      this.samples.push({ time, resident, anonymous, heap: 0, external: 0 });
    } catch (error) {
      this.#failure ??= error;
    }
  }

  /** Each sample gets the latest value of every thread before it. */
  #addHeaps(): void {
    const lines = readFileSync(this.#heapFile, 'utf8').trim().split('\n');
    const threads = new Map<number, { heap: number; external: number }>();
    let next = 0;
    for (const sample of this.samples) {
      for (; next < lines.length; next++) {
        const [at = 0, thread = 0, heap = 0, external = 0] = (lines[next] ?? '')
          .split(' ')
          .map(Number);
        if ((at - this.#start) / 1000 > sample.time) break;
        threads.set(thread, { heap, external });
      }
      for (const { heap, external } of threads.values()) {
        sample.heap += heap;
        sample.external += external;
      }
    }
  }
}
