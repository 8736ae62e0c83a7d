// The whole of `verify` but the command line: opens all layers, then reads all their data, and
// notes every problem on the way. What it finds is a value; nothing is printed here.

import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises';
import { describeRef, keyOfRef, type BlobRef } from '../blob/blob-ref.js';
import type { Effort } from '../lib/effort.js';
import { OverlaybdError, type ProblemSink } from '../errors.js';
import { MAX_VIRTUAL_SIZE } from '../lsmt/format.js';
import type { Unwrapped } from '../image/formats/format.js';
import { sourceOfWords, type Beside } from '../image/plan/image-source.js';
import { NO_REMOTE, type Remote } from '../registry/remote.js';
import {
  isOfTrees,
  lsmtLayersOf,
  noVirtualSize,
  openLower,
  openUpper,
  virtualSizeOf,
  type OpenedLayer,
  type StackOptions,
} from '../image/stack/open-stack.js';
import { planImage, type ImagePlan } from '../image/plan/plan.js';
import type { ReaderFactory } from '../image/disks/reader-factory.js';
import { showsWhiteouts } from '../image/stack/tree-image.js';
import { checkTrees } from './check-trees.js';
import { DataChecker, type DataCheck } from './data-checks.js';
import { mergedIndex } from './merged-index.js';
import { inspectionOptions, withIndex, type InspectedLayer } from './open-for-inspection.js';
import { ProblemList, type Problem } from './problem-list.js';
import { monotonicMs } from '../lib/clock.js';

/** Data is checked for this long (ms) before signals get their turn. */
const SLICE_MS = 40;
/** An interrupted check ends after this long (ms) at most, if a disk or a registry does not answer. */
const ENDING_MS = 2000;

export interface VerifiedLayer {
  readonly path: string;
  readonly role: 'lower' | 'upper';
  readonly problemCount: number;
}

/** The names are the keys of the JSON that `verify` prints (docs/json-output.md), so they stay. */
export interface VerifyReport {
  readonly name: string;
  /** No problem, and all was checked. */
  readonly good: boolean;
  readonly interrupted: boolean;
  readonly problemCount: number;
  /** The first ones. */
  readonly problems: readonly Problem[];
  readonly notes: readonly string[];
  /** Bottom first; empty when the configuration itself is wrong. */
  readonly layers: readonly VerifiedLayer[];
  /** Plain bytes, that is to say decompressed. */
  readonly checkedBytes: number;
  readonly totalBytes: number;
  readonly seconds: number;
}

export interface VerifyOptions {
  /** Opens images of registries; absent: none are opened. */
  readonly remote?: Remote;
  readonly beside?: Beside | null;
  /** Ends the check early. */
  readonly signal: AbortSignal;
  /** Called after every step, which is some hundred times a second. */
  readonly progress: (checkedBytes: number, totalBytes: number) => void;
}

/**
 * Checks an image.
 * @param words a configuration, or blobs, bottom first
 * @throws OverlaybdError BAD_ARGUMENT only: whatever is wrong with files is in the report
 */
export async function verifyImage(
  words: readonly string[],
  options: VerifyOptions,
): Promise<VerifyReport> {
  const started = monotonicMs();
  const problems = new ProblemList();
  const run: Run = {
    name: words.join(' '),
    checked: 0,
    total: 0,
    layers: [],
    notes: [],
    sliceEnd: started + SLICE_MS,
  };
  // What an earlier reading has found is checked again, too.
  const own = inspectionOptions(options.remote ?? NO_REMOTE, options.progress);
  const records = own.records ? { ...own.records, isAnew: true as const } : null;
  const effort = interruptible(own.effort, options.signal);
  const tools = { ...own, records, effort };
  const work = async (): Promise<void> => {
    const plan = await planOrProblem(words, tools, problems, options);
    if (plan) await verifyPlan(plan, tools, problems, run, options);
  };
  try {
    await untilInterrupted(work, options.signal);
  } finally {
    tools.files.release();
  }
  const interrupted = options.signal.aborted;
  return {
    name: run.name,
    good: problems.count === 0 && !interrupted,
    interrupted,
    problemCount: problems.count,
    problems: problems.listed,
    notes: run.notes,
    layers: run.layers.map(({ ref, role }, i) => {
      return { path: describeRef(ref), role, problemCount: problems.countOf(i) };
    }),
    checkedBytes: run.checked,
    totalBytes: run.total,
    seconds: Math.round(monotonicMs() - started) / 1000,
  };
}

/** The same effort. It ends an opening soon after the signal. */
function interruptible(effort: Effort, signal: AbortSignal): Effort {
  const check = (): void => {
    if (signal.aborted) throw new OverlaybdError('BUSY', 'the check was interrupted');
  };
  return {
    ...effort,
    spend: (units) => {
      check();
      effort.spend(units);
    },
    turn: () => {
      check();
      return effort.turn();
    },
    progress: (done, total, layer) => {
      check();
      effort.progress?.(done, total, layer);
    },
  };
}

/** Ends with the work, or some time after the signal without waiting for it. */
async function untilInterrupted(work: () => Promise<void>, signal: AbortSignal): Promise<void> {
  const done = new AbortController();
  const interrupted = async (): Promise<void> => {
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener('abort', () => resolve(), { once: true, signal: done.signal });
    });
    await pause(ENDING_MS, null, { signal: done.signal }).catch(() => undefined);
  };
  try {
    await Promise.race([work(), interrupted()]);
  } finally {
    done.abort();
  }
}

async function planOrProblem(
  words: readonly string[],
  { files, effort }: StackOptions,
  problems: ProblemList,
  { remote = NO_REMOTE, beside, signal }: VerifyOptions,
): Promise<ImagePlan | null> {
  try {
    return await planImage(sourceOfWords(words).blobs, files, {
      effort,
      remote: () => remote.images(),
      beside: beside ?? undefined,
    });
  } catch (error) {
    if (error instanceof OverlaybdError && error.code === 'BAD_ARGUMENT') throw error;
    if (!signal.aborted) problems.addError(null, error);
    return null;
  }
}

interface Run {
  /** Of the image, as far as it is known. */
  name: string;
  checked: number;
  total: number;
  layers: readonly TriedLayer[];
  readonly notes: string[];
  /** When signals get their turn next. Of all layers together: each may take less time than a slice. */
  sliceEnd: number;
}

/** A layer as far as it could be opened. */
interface TriedLayer {
  readonly ref: BlobRef;
  readonly role: 'lower' | 'upper';
  /** Null if it is broken. */
  readonly opened: InspectedLayer | null;
  /** The blob inside the wrappers of a broken layer, if the wrappers are good. */
  readonly inner: Unwrapped | null;
}

async function verifyPlan(
  plan: ImagePlan,
  tools: StackOptions,
  problems: ProblemList,
  run: Run,
  options: VerifyOptions,
): Promise<void> {
  run.name = plan.name;
  run.notes.push(...(plan.details ?? []), ...plan.notes);
  const opening = new OpeningFindings(problems);
  run.layers = await tryLayers(plan, tools, opening, options.signal);
  if (options.signal.aborted) return;
  await checkStack(plan, run.layers, problems, run);
  const checks = dataChecks(run.layers, problems, tools.readers);
  run.total = checks.reduce((sum, { check }) => sum + check.bytes, 0);
  for (const { layer, check } of checks) {
    const before = problems.countOf(layer);
    await runCheck(check, run, options);
    if (options.signal.aborted) break;
    opening.settle(layer, problems.countOf(layer) > before);
  }
  opening.settleAll();
}

/** Opens every layer, and continues after a broken one. */
async function tryLayers(
  plan: ImagePlan,
  tools: StackOptions,
  opening: OpeningFindings,
  signal: AbortSignal,
): Promise<TriedLayer[]> {
  const layers: TriedLayer[] = [];
  const add = async (
    ref: BlobRef,
    role: 'lower' | 'upper',
    open: (options: StackOptions) => Promise<OpenedLayer>,
  ): Promise<void> => {
    if (signal.aborted) return;
    const number = layers.length;
    const sink = opening.sinkOf(number);
    let inner: Unwrapped | null = null;
    let opened: InspectedLayer | null = null;
    try {
      const layer = await open({ ...tools, sink });
      ({ inner } = layer);
      opened = await withIndex(layer, sink);
    } catch (error) {
      if (signal.aborted) return;
      opening.failed(number, error);
      inner ??= role === 'lower' ? await innerOf(ref, tools) : null;
    }
    layers.push({ ref, role, opened, inner });
  };
  for (const ref of plan.lowers) {
    await add(ref, 'lower', (options) => openLower(ref, plan, options));
  }
  const { upper } = plan;
  if (upper) await add(upper.data, 'upper', (options) => openUpper(upper, options));
  return layers;
}

/** What a broken layer has inside; the problems of its wrappers are known by now. */
async function innerOf(ref: BlobRef, { files, effort }: StackOptions): Promise<Unwrapped | null> {
  try {
    const blob = await files.open(ref);
    return await blob.content(effort, () => undefined);
  } catch (error) {
    if (error instanceof OverlaybdError) return null;
    throw error;
  }
}

/**
 * Problems of opening. A layer that cannot be opened because a block of its ZFile is bad has only
 * one problem, and the check of all blocks names it best: such errors wait for that check.
 */
class OpeningFindings {
  readonly #problems: ProblemList;
  readonly #waiting = new Map<number, unknown>();

  constructor(problems: ProblemList) {
    this.#problems = problems;
  }

  /** Takes problems of a layer that leave it readable. */
  sinkOf(layer: number): ProblemSink {
    return (problem) => this.#problems.addProblem(layer, problem);
  }

  /** Takes what ended the opening of a layer. */
  failed(layer: number, error: unknown): void {
    const code = error instanceof OverlaybdError ? error.code : undefined;
    if (code === 'BAD_CHECKSUM' || code === 'BAD_DATA') this.#waiting.set(layer, error);
    else this.#problems.addError(layer, error);
  }

  settle(layer: number, explained: boolean): void {
    const error = this.#waiting.get(layer);
    this.#waiting.delete(layer);
    if (error !== undefined && !explained) this.#problems.addError(layer, error);
  }

  settleAll(): void {
    for (const layer of this.#waiting.keys()) this.settle(layer, false);
  }
}

/** What only the layers together tell. */
async function checkStack(
  { name, layer: alone }: ImagePlan,
  layers: readonly TriedLayer[],
  problems: ProblemList,
  run: Run,
): Promise<void> {
  const opened = layers.flatMap((layer) => layer.opened ?? []);
  const lsmt = lsmtLayersOf(opened);
  layers.forEach(({ ref, opened: layer }, i) => {
    const content = layer?.content;
    if (layer?.missing) problems.addError(i, layer.missing);
    if (content?.kind === 'raw') {
      const about = 'a raw disk image: it has no index and no checksums of its own';
      run.notes.push(about, ...content.doubts);
    } else if (content?.kind === 'half upper') {
      const other = content.part === 'data' ? 'index' : 'data';
      problems.addError(
        i,
        new OverlaybdError(
          'UNSUPPORTED',
          `${describeRef(ref)}: the ${content.part} file of an append-only upper: cannot be checked without its ${other} file: name the image's configuration`,
        ),
      );
    }
  });
  if (isOfTrees(opened)) {
    if (opened.some(({ sources }) => sources.some((source) => source && !source.around))) {
      run.notes.push('layers of files: they have no checksums of their own');
    }
    const isWhole = opened.length === layers.length;
    run.notes.push(...checkTrees(name, opened, problems, isWhole, showsWhiteouts(opened, alone)));
    return;
  }
  // A broken layer has its own problems, and may be the one that gives the size.
  if (lsmt.length === 0 || lsmt.length < layers.length) return;
  if (virtualSizeOf(lsmt) === 0) problems.addError(null, noVirtualSize(name));
  try {
    await mergedIndex(lsmt, MAX_VIRTUAL_SIZE, name);
  } catch (error) {
    problems.addError(null, error);
  }
}

function dataChecks(
  layers: readonly TriedLayer[],
  problems: ProblemList,
  readers: ReaderFactory,
): { layer: number; check: DataCheck }[] {
  const checker = new DataChecker(readers);
  const seen = new Set<string>();
  return layers.flatMap(({ ref, inner, opened }, layer) => {
    // A blob that is in the stack twice is read once.
    const key = opened?.blobs[0].key ?? keyOfRef(ref);
    if (!inner || seen.has(key)) return [];
    seen.add(key);
    const check = checker.check(opened ?? { inner }, {
      sink: (problem) => problems.addProblem(layer, problem),
      failed: (error) => problems.addError(layer, error),
    });
    return [{ layer, check }];
  });
}

async function runCheck(
  check: DataCheck,
  run: Run,
  { signal, progress }: VerifyOptions,
): Promise<void> {
  for await (const bytes of check.steps()) {
    run.checked += bytes;
    progress(run.checked, run.total);
    if (monotonicMs() < run.sliceEnd) continue;
    await nextTurn();
    if (signal.aborted) return;
    run.sliceEnd = monotonicMs() + SLICE_MS;
  }
}
