// Which chunks are fetched, when, and who waits for them. One chunk is fetched once, however many threads,
// exports and processes want it. Knows no port and no message.

import { OverlaybdError } from '../errors.js';
import { errorOf } from '../lib/fault.js';
import type { FetchClass } from '../registry/http/client.js';
import { BlobWork } from './blob-work.js';
import type { Clock } from './clock.js';
import { Deadlines } from './deadlines.js';
import { Elsewhere } from './elsewhere.js';
import {
  latestDeadline,
  rankOf,
  type FetchBlob,
  type Wait,
  type WantedChunk,
} from './fetch-blob.js';
import { FetchTotals } from './fetch-totals.js';
import { HostQueue, outcomeOf, type Run } from './host-queue.js';
import { ANSWER_MARGIN_MS, MAX_WAITING_CHUNKS } from './limits.js';
import { Transfer, type RangeClient } from './transfer.js';

export interface SchedulerParts {
  readonly client: RangeClient;
  readonly clock: Clock;
  /** How long a transfer that no read waits for may take. */
  readonly backgroundMs: () => number;
  /** Why a host has failed last, for reads that have waited for too long. */
  readonly lastError: (host: string) => string | null;
}

export interface WantOptions {
  readonly class: FetchClass;
  /** In the time of the clock; Infinity: as long as it takes. */
  readonly deadline: number;
  /** Past mirrors. */
  readonly fromOrigin?: boolean;
  /** Called once: null when all chunks are present. Maybe before `want` returns. */
  readonly done: (error: Error | null) => void;
}

/** A transfer is stopped this long after its deadline, if the client does not stop it itself. */
const OVERRUN_MS = 1000;

export class Scheduler {
  readonly #parts: SchedulerParts;
  readonly #clock: Clock;
  readonly #hosts = new Map<string, HostQueue>();
  readonly #deadlines: Deadlines<Wait>;
  readonly #elsewhere: Elsewhere;
  readonly #work = new BlobWork();
  readonly #transfers = new Map<FetchBlob, Set<Transfer>>();
  readonly #reads = new Set<Wait>();
  #chunks = 0;
  #isPumping = false;
  readonly totals = new FetchTotals();

  constructor(parts: SchedulerParts) {
    this.#parts = parts;
    this.#clock = parts.clock;
    this.#deadlines = new Deadlines(parts.clock, (wait) => this.#late(wait));
    this.#elsewhere = new Elsewhere(parts.clock, {
      arrived: (wanted) => {
        wanted.blob.cameFromElsewhere(wanted.chunk, this.#clock.now());
        this.#arrived(wanted);
      },
      ours: (wanted) => this.#enqueue(wanted),
    });
  }

  get hosts(): Iterable<HostQueue> {
    return this.#hosts.values();
  }

  /** Chunks that other processes fetch. */
  get elsewhere(): number {
    return this.#elsewhere.size;
  }

  /** Reads that wait. */
  get reads(): number {
    return this.#reads.size;
  }

  /** When the oldest waiting read began to wait; null: none waits. */
  get oldest(): number | null {
    const [oldest] = this.#reads;
    return oldest?.since ?? null;
  }

  /** Has chunks fetched; both ends are included. */
  want(blob: FetchBlob, first: number, last: number, options: WantOptions): Wait {
    const { class: fetchClass, deadline, fromOrigin = false, done } = options;
    const since = this.#clock.now();
    const wait: Wait = { blob, first, last, class: fetchClass, since, deadline, missing: 0, done };
    if (this.#chunks + last - first >= MAX_WAITING_CHUNKS) {
      const why = `${MAX_WAITING_CHUNKS} chunks wait to be fetched already`;
      this.#settle(wait, busy(blob, why));
      return wait;
    }
    for (let chunk = first; chunk <= last; chunk++) {
      if (!blob.cached.map.has(chunk)) this.#join(wait, chunk, fromOrigin);
    }
    if (wait.missing === 0) {
      this.#settle(wait, null);
      return wait;
    }
    if (fetchClass === 'demand') {
      blob.waiting++;
      this.#reads.add(wait);
    }
    this.#deadlines.add(wait);
    return wait;
  }

  /** The caller has given up: chunks that are queued for it alone are not fetched. */
  cancel(wait: Wait): void {
    this.#fail(wait, busy(wait.blob, 'cancelled'));
  }

  /**
   * Ends everything of a blob that is being closed.
   * @returns when nothing uses it any longer, so that it may be released
   */
  async remove(blob: FetchBlob): Promise<void> {
    const closed = busy(blob, 'it is being closed');
    const waits = new Set([...blob.wanted.values()].flatMap((each) => [...each.waits]));
    for (const wait of waits) this.#fail(wait, closed);
    for (const transfer of this.#transfers.get(blob) ?? []) transfer.abort(closed);
    await this.#work.end(blob);
  }

  #join(wait: Wait, chunk: number, fromOrigin: boolean): void {
    const { blob } = wait;
    let wanted = blob.wanted.get(chunk);
    if (!wanted) {
      wanted = {
        blob,
        chunk,
        fromOrigin: fromOrigin || blob.isOriginOnly(chunk, this.#clock.now()),
        state: 'checking',
        class: wait.class,
        host: null,
        isBegun: false,
        refusals: 0,
        waits: new Set(),
      };
      blob.wanted.set(chunk, wanted);
      this.#chunks++;
      this.#work.add(blob, this.#check(wanted));
    }
    wanted.waits.add(wait);
    wait.missing++;
    if (rankOf(wait.class) < rankOf(wanted.class)) this.#reclass(wanted, wait.class);
  }

  #reclass(wanted: WantedChunk, fetchClass: FetchClass): void {
    const { host } = wanted;
    host?.remove(wanted);
    wanted.class = fetchClass;
    host?.add(wanted);
    if (host) this.#pumpSoon();
  }

  /** The cache may have the chunk from an earlier process, or another one. That needs no registry. */
  async #check(wanted: WantedChunk): Promise<void> {
    const { blob, chunk } = wanted;
    let isPresent = false;
    try {
      isPresent = await blob.cached.present(chunk);
    } catch (error) {
      if (blob.wanted.get(chunk) === wanted) this.#failChunks([wanted], () => true, error);
      return;
    }
    if (blob.wanted.get(chunk) !== wanted) return;
    if (isPresent) this.#arrived(wanted);
    else this.#enqueue(wanted);
  }

  #enqueue(wanted: WantedChunk): void {
    const { host: name } = wanted.blob.ref;
    let host = this.#hosts.get(name);
    if (!host) this.#hosts.set(name, (host = new HostQueue(name)));
    wanted.state = 'queued';
    host.add(wanted);
    this.#pumpSoon();
  }

  /** After the turn: what is asked for in one turn is joined. */
  #pumpSoon(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    this.#clock.soon(() => {
      this.#isPumping = false;
      for (const host of this.#hosts.values()) {
        for (let run = host.next(); run; run = host.next()) this.#start(host, run);
        if (host.isIdle) this.#hosts.delete(host.host);
      }
    });
  }

  #start(host: HostQueue, run: Run): void {
    const ours: WantedChunk[] = [];
    for (const wanted of run.chunks) {
      const isNext = ours.length === 0 || ours.at(-1)?.chunk === wanted.chunk - 1;
      if (!isNext) {
        host.add(wanted);
        continue;
      }
      wanted.isBegun ||= wanted.blob.cached.begin(wanted.chunk);
      if (wanted.isBegun) {
        wanted.state = 'fetching';
        ours.push(wanted);
      } else {
        wanted.state = 'elsewhere';
        this.#elsewhere.add(wanted);
      }
    }
    const [first] = ours;
    if (first) this.#work.add(first.blob, this.#fetch(host, run.class, first.blob, ours));
  }

  async #fetch(
    host: HostQueue,
    fetchClass: FetchClass,
    blob: FetchBlob,
    chunks: readonly WantedChunk[],
  ): Promise<void> {
    const first = chunks[0]?.chunk ?? 0;
    const last = first + chunks.length - 1;
    const { ref } = blob;
    const deadline = latestDeadline(chunks) ?? this.#clock.now() + this.#parts.backgroundMs();
    const transfer = new Transfer({
      client: this.#parts.client,
      ref,
      cached: blob.cached,
      first,
      last,
      class: fetchClass,
      // Its error says why, so it should come before the waiting reads give up.
      deadline: deadline - Math.min(ANSWER_MARGIN_MS, (deadline - this.#clock.now()) / 4),
      fromOrigin: chunks[0]?.fromOrigin ?? false,
      arrived: (chunk) => {
        const wanted = chunks[chunk - first];
        this.totals.arrived(blob, chunk, fetchClass, wanted?.class ?? fetchClass);
        if (!wanted) return;
        wanted.isBegun = false;
        if (blob.wanted.get(chunk) === wanted) this.#arrived(wanted);
      },
    });
    const transfers = this.#transfers.get(blob) ?? new Set();
    this.#transfers.set(blob, transfers.add(transfer));
    host.started(blob, fetchClass, blob.bytesOf(first, last));
    const overrun = this.#clock.after(deadline - this.#clock.now() + OVERRUN_MS, () => {
      transfer.abort(this.#lateError(blob, first, last, OVERRUN_MS + this.#parts.backgroundMs()));
    });
    let [asked, failure]: [string | null, unknown] = [null, null];
    const begin = this.#clock.now();
    try {
      asked = await transfer.run();
      this.totals.transferred(chunks.length, this.#clock.now() - begin);
    } catch (error) {
      failure = error;
    }
    overrun();
    transfers.delete(transfer);
    if (transfers.size === 0) this.#transfers.delete(blob);
    host.ended(blob, {
      class: fetchClass,
      chunks: chunks.length,
      begin,
      end: this.#clock.now(),
      outcome: outcomeOf(failure),
      asked,
    });
    const left = chunks.filter(({ isBegun }) => isBegun);
    for (const wanted of left) {
      wanted.isBegun = false;
      blob.cached.giveUp(wanted.chunk);
    }
    if (failure !== null) this.#transferFailed(blob, ref, left, deadline, failure);
    this.#pumpSoon();
  }

  /** Waits that began later and end later try again; all of them do if another repository has the blob. */
  #transferFailed(
    blob: FetchBlob,
    ref: FetchBlob['ref'],
    left: readonly WantedChunk[],
    deadline: number,
    failure: unknown,
  ): void {
    const code = failure instanceof OverlaybdError ? failure.code : 'BUG';
    blob.lastError = failure instanceof Error ? failure.message : String(failure);
    const wanted = left.filter((each) => blob.wanted.get(each.chunk) === each);
    const isRefusal = code === 'AUTH' || code === 'NOT_FOUND';
    if (isRefusal) blob.refusedBy(ref);
    const mayFail = (each: WantedChunk): boolean =>
      !isRefusal || ++each.refusals >= blob.repositories;
    const isWrong = code === 'BAD_CHECKSUM';
    // A mirror may have other bytes than the registry itself.
    const again = wanted.filter((each) => isWrong && !each.fromOrigin && each.waits.size > 0);
    for (const each of again) each.fromOrigin = true;
    if (isWrong) this.totals.wrongChunks(wanted.length, again.length);
    const failing = wanted.filter((each) => !again.includes(each) && mayFail(each));
    this.#failChunks(
      failing,
      (wait) => code !== 'REMOTE' || wait.deadline <= deadline || wait.deadline === Infinity,
      failure,
    );
    for (const each of wanted) if (each.waits.size > 0) this.#enqueue(each);
  }

  /** Fails waits of chunks that have left the queue. Chunks without waits are dropped. */
  #failChunks(
    chunks: readonly WantedChunk[],
    mayFail: (wait: Wait) => boolean,
    failure: unknown,
  ): void {
    const error = failure instanceof Error ? failure : new Error(String(failure));
    const all = new Set(chunks.flatMap(({ waits }) => [...waits]));
    for (const wait of all) if (mayFail(wait)) this.#fail(wait, error);
    for (const each of chunks) if (each.waits.size === 0) this.#forget(each);
  }

  #arrived(wanted: WantedChunk): void {
    this.#forget(wanted);
    for (const wait of wanted.waits) if (--wait.missing === 0) this.#settle(wait, null);
    wanted.waits.clear();
  }

  #fail(wait: Wait, error: Error): void {
    if (!wait.done) return;
    this.#settle(wait, error);
    const { blob, first, last } = wait;
    for (let chunk = first; chunk <= last; chunk++) {
      const wanted = blob.wanted.get(chunk);
      if (wanted?.waits.delete(wait)) this.#left(wanted);
    }
  }

  /** A reader that waited for the chunk has given up. */
  #left(wanted: WantedChunk): void {
    // What a transfer is bringing is kept when it comes.
    if (wanted.state === 'fetching') return;
    let best: FetchClass | null = null;
    for (const { class: each } of wanted.waits) {
      if (best === null || rankOf(each) < rankOf(best)) best = each;
      if (rankOf(best) === 0) break;
    }
    if (best === null) this.#forget(wanted);
    else if (best !== wanted.class) this.#reclass(wanted, best);
  }

  #forget(wanted: WantedChunk): void {
    const { blob, chunk } = wanted;
    if (blob.wanted.get(chunk) !== wanted) return;
    wanted.host?.remove(wanted);
    this.#elsewhere.delete(wanted);
    blob.wanted.delete(chunk);
    this.#chunks--;
    if (!wanted.isBegun || wanted.state === 'fetching') return;
    wanted.isBegun = false;
    blob.cached.giveUp(chunk);
  }

  #settle(wait: Wait, error: Error | null): void {
    const { done } = wait;
    if (!done) return;
    wait.done = null;
    this.#deadlines.remove(wait);
    if (this.#reads.delete(wait)) wait.blob.waiting--;
    if (error) this.totals.waitFailed(error, wait.class, wait.blob);
    done(error);
  }

  #late(wait: Wait): void {
    const { blob, first, last, since } = wait;
    this.#fail(wait, this.#lateError(blob, first, last, this.#clock.now() - since));
  }

  #lateError(blob: FetchBlob, first: number, last: number, waitedMs: number): OverlaybdError {
    const why = this.#parts.lastError(blob.ref.host) ?? blob.lastError;
    return blob.lateError(first, last, waitedMs, why);
  }
}

function busy({ cached: { spec } }: FetchBlob, why: string): OverlaybdError {
  return errorOf('BUSY', { blob: spec.name, digest: spec.digest }, why);
}
