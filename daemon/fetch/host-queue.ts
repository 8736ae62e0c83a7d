// The chunks to fetch from one registry: which go next in one request, and how many requests run.
//
// Classes: chunks that a read waits for go first; others only while no read waits, and with as many transfers as the
// reads hardly notice.
// Blobs of a class take turns by bytes (deficit round robin). Neighbours go together.

import { OverlaybdError } from '../errors.js';
import type { FetchClass } from '../registry/http/client.js';
import { BackgroundWindow } from './background-window.js';
import {
  CLASSES,
  rankOf,
  type ChunkQueue,
  type FetchBlob,
  type WantedChunk,
} from './fetch-blob.js';
import { CHUNK_SIZE } from '../blob/chunk-map.js';
import {
  HOST_TRANSFERS,
  MAX_TRANSFER_BYTES,
  TRANSFERS_FOR_EACH_FREE,
  TURN_BYTES,
} from './limits.js';

const MAX_CHUNKS = MAX_TRANSFER_BYTES / CHUNK_SIZE;

interface BlobTurn {
  /** In the order in which they are fetched. */
  readonly chunks: Map<number, WantedChunk>;
  /** Bytes that the blob may fetch before others have their turn; negative if it had more than its share. */
  credit: number;
}

/** The blobs of one class, the first has its turn. */
type Ring = Map<FetchBlob, BlobTurn>;

/** Neighbours of one blob, in the order of the blob. */
export interface Run {
  readonly class: FetchClass;
  readonly chunks: readonly WantedChunk[];
}

export interface EndedTransfer {
  readonly class: FetchClass;
  readonly chunks: number;
  /** Milliseconds, of one clock. */
  readonly begin: number;
  readonly end: number;
  /** stopped: it ended for another reason than the network. */
  readonly outcome: 'fetched' | 'failed' | 'stopped';
  /** The host of the registry or mirror that was asked; null: more than one, or it is not known. */
  readonly asked: string | null;
}

/**
 * An image that is closed, a login, a blob that is gone or a full disk say nothing of the load of the network.
 * @param failure null: there was none
 */
export function outcomeOf(failure: unknown): EndedTransfer['outcome'] {
  if (failure === null) return 'fetched';
  return failure instanceof OverlaybdError && failure.code === 'REMOTE' ? 'failed' : 'stopped';
}

export class HostQueue implements ChunkQueue {
  readonly host: string;
  readonly inFlight: Record<FetchClass, number> = { demand: 0, ahead: 0, trace: 0, fill: 0 };
  readonly queued: Record<FetchClass, number> = { demand: 0, ahead: 0, trace: 0, fill: 0 };
  readonly #window = new BackgroundWindow();
  readonly #rings: Readonly<Record<FetchClass, Ring>> = {
    demand: new Map(),
    ahead: new Map(),
    trace: new Map(),
    fill: new Map(),
  };

  constructor(host: string) {
    this.host = host;
  }

  /** Whether nothing is queued or running. */
  get isIdle(): boolean {
    return CLASSES.every((each) => this.queued[each] === 0 && this.inFlight[each] === 0);
  }

  /** Queues a chunk in its class. */
  add(wanted: WantedChunk): void {
    const ring = this.#rings[wanted.class];
    let turn = ring.get(wanted.blob);
    if (!turn) ring.set(wanted.blob, (turn = { chunks: new Map(), credit: 0 }));
    turn.chunks.set(wanted.chunk, wanted);
    wanted.host = this;
    this.queued[wanted.class]++;
  }

  /** Call this before its class changes. */
  remove(wanted: WantedChunk): void {
    const ring = this.#rings[wanted.class];
    const turn = ring.get(wanted.blob);
    if (!turn?.chunks.delete(wanted.chunk)) return;
    if (turn.chunks.size === 0) ring.delete(wanted.blob);
    this.queued[wanted.class]--;
    wanted.host = null;
  }

  /**
   * The chunks of the next request, which leave the queue; the caller fetches some of them (`started`), and
   * puts the others where they belong.
   * @returns null if nothing may start now
   */
  next(): Run | null {
    for (const fetchClass of CLASSES) {
      if (fetchClass !== 'demand' && !this.#mayFetchBackground()) return null;
      const blob = this.#turn(fetchClass);
      if (blob) return { class: fetchClass, chunks: this.#takeRun(blob, fetchClass) };
    }
    return null;
  }

  started(blob: FetchBlob, fetchClass: FetchClass, bytes: number): void {
    this.inFlight[fetchClass]++;
    blob.inFlight++;
    const turn = this.#rings[fetchClass].get(blob);
    if (turn) turn.credit -= bytes;
  }

  ended(
    blob: FetchBlob,
    { class: fetchClass, chunks, begin, end, outcome, asked }: EndedTransfer,
  ): void {
    const background = this.#running - this.inFlight.demand;
    if (fetchClass !== 'demand') {
      if (outcome !== 'stopped') {
        this.#window.backgroundEnded(outcome === 'failed', background >= this.window, begin, end);
      }
    } else if (outcome === 'fetched' && asked !== null) {
      this.#window.demandEnded({ host: asked, chunks, begin, end, background });
    }
    this.inFlight[fetchClass]--;
    blob.inFlight--;
  }

  /** Transfers that read-ahead, traces and fill may have together. */
  get window(): number {
    return this.#window.size;
  }

  get #running(): number {
    const { demand, ahead, trace, fill } = this.inFlight;
    return demand + ahead + trace + fill;
  }

  #mayFetchBackground(): boolean {
    if (this.queued.demand > 0) return false;
    return this.#running - this.inFlight.demand < this.window;
  }

  /** The blob whose turn it is. */
  #turn(fetchClass: FetchClass): FetchBlob | null {
    const ring = this.#rings[fetchClass];
    let skipped = 0;
    // A blob that may start gets credit each time it comes round, so one of them is found.
    while (skipped < ring.size) {
      const [first] = ring;
      if (!first) return null;
      const [blob, turn] = first;
      if (turn.credit > 0 && this.#mayStart(blob)) return blob;
      if (this.#mayStart(blob)) {
        turn.credit += TURN_BYTES;
        skipped = 0;
      } else skipped++;
      if (ring.size > 1) {
        ring.delete(blob);
        ring.set(blob, turn);
      }
    }
    return null;
  }

  #mayStart(blob: FetchBlob): boolean {
    const free = HOST_TRANSFERS - this.#running;
    return blob.inFlight < free * TRANSFERS_FOR_EACH_FREE;
  }

  #takeRun(blob: FetchBlob, fetchClass: FetchClass): WantedChunk[] {
    const [first] = this.#rings[fetchClass].get(blob)?.chunks.values() ?? [];
    if (!first) throw new Error('a blob in the ring without chunks');
    const run = [first];
    // Chunks come in order, so chunks that no read waits for must not come before the chunks of a read.
    const lowest = Math.max(rankOf(fetchClass), rankOf('ahead'));
    this.#extend(run, 1, lowest);
    this.#extend(run, -1, rankOf(fetchClass));
    for (const wanted of run) this.remove(wanted);
    return run;
  }

  #extend(run: WantedChunk[], step: 1 | -1, lowestRank: number): void {
    let end = run[0];
    if (step > 0) end = run.at(-1);
    while (end && run.length < MAX_CHUNKS) {
      const next = end.blob.wanted.get(end.chunk + step);
      if (next?.host !== this || next.fromOrigin !== end.fromOrigin) return;
      if (rankOf(next.class) > lowestRank) return;
      if (step > 0) run.push(next);
      else run.unshift(next);
      end = next;
    }
  }
}
