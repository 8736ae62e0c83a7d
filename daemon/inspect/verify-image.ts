// The whole of `verify` but the command line: opens all layers, then reads all their data, and
// notes every problem on the way. What it finds is a value; nothing is printed here.

import { setImmediate as nextTurn } from 'node:timers/promises';
import { OverlaybdError } from '../errors.js';
import { mergedIndex } from './merged-index.js';
import { MAX_VIRTUAL_SIZE } from '../lsmt/format.js';
import { sourceOfWords } from '../image/image-source.js';
import { planImage, type ImagePlan } from '../image/plan.js';
import { DataChecker, type DataCheck } from './data-checks.js';
import { openStack, type Findings, type OpenedLayer, type OpenedStack } from './open-stack.js';
import { ProblemList, type Problem } from './problem-list.js';

/** For so long (ms) data is checked before signals get their turn. */
const SLICE_MS = 40;

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
  /** Ends the check early. */
  readonly signal: AbortSignal;
  /** Called after every step, which is some hundred times a second. */
  readonly progress: (checkedBytes: number, totalBytes: number) => void;
}

/**
 * Checks an image.
 * @param paths a configuration, or blobs, bottom first
 * @throws OverlaybdError BAD_ARGUMENT only: whatever is wrong with files is in the report
 */
export async function verifyImage(
  paths: readonly string[],
  options: VerifyOptions,
): Promise<VerifyReport> {
  const started = performance.now();
  const problems = new ProblemList();
  const run = { checked: 0, total: 0, layers: [] as readonly OpenedLayer[], notes: [] as string[] };
  const plan = await planOrProblem(paths, problems);
  if (plan) {
    run.notes.push(...plan.notes);
    await verifyPlan(plan, problems, run, options);
  }
  const interrupted = options.signal.aborted;
  return {
    name: plan?.name ?? paths.join(' '),
    good: problems.count === 0 && !interrupted,
    interrupted,
    problemCount: problems.count,
    problems: problems.listed,
    notes: run.notes,
    layers: run.layers.map(({ path, role }, i) => {
      return { path, role, problemCount: problems.countOf(i) };
    }),
    checkedBytes: run.checked,
    totalBytes: run.total,
    seconds: Math.round(performance.now() - started) / 1000,
  };
}

async function planOrProblem(
  paths: readonly string[],
  problems: ProblemList,
): Promise<ImagePlan | null> {
  try {
    return await planImage(sourceOfWords(paths).blobs);
  } catch (error) {
    if (error instanceof OverlaybdError && error.code === 'BAD_ARGUMENT') throw error;
    problems.addError(null, error);
    return null;
  }
}

interface Run {
  checked: number;
  total: number;
  layers: readonly OpenedLayer[];
  readonly notes: string[];
}

async function verifyPlan(
  plan: ImagePlan,
  problems: ProblemList,
  run: Run,
  options: VerifyOptions,
): Promise<void> {
  const opening = new OpeningFindings(problems);
  const stack = await openStack(plan, (layer) => opening.of(layer));
  try {
    run.layers = stack.layers;
    await checkStack(stack, problems, run);
    const checks = dataChecks(stack, problems);
    run.total = checks.reduce((sum, { check }) => sum + check.bytes, 0);
    for (const { layer, check } of checks) {
      const before = problems.countOf(layer);
      await runCheck(check, run, options);
      if (options.signal.aborted) break;
      opening.settle(layer, problems.countOf(layer) > before);
    }
    opening.settleAll();
  } finally {
    stack.close();
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

  of(layer: number): Findings {
    return {
      sink: (problem) => this.#problems.addProblem(layer, problem),
      failed: (error) => {
        const code = error instanceof OverlaybdError ? error.code : undefined;
        if (code === 'BAD_CHECKSUM' || code === 'BAD_DATA') this.#waiting.set(layer, error);
        else this.#problems.addError(layer, error);
      },
    };
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
  { plan, layers }: OpenedStack,
  problems: ProblemList,
  run: Run,
): Promise<void> {
  const lsmt = layers.flatMap(({ content }) => (content.kind === 'lsmt' ? [content.layer] : []));
  layers.forEach(({ path, content }, i) => {
    if (content.kind === 'raw') {
      run.notes.push('a raw disk image: it has no index and no checksums of its own');
    } else if (content.kind === 'half upper') {
      const other = content.part === 'data' ? 'index' : 'data';
      problems.addError(
        i,
        new OverlaybdError(
          'UNSUPPORTED',
          `${path}: the ${content.part} file of an append-only upper: cannot be checked without its ${other} file: name the image's configuration`,
        ),
      );
    }
  });
  // A broken layer has its own problems, and may be the one that gives the size.
  if (lsmt.length === 0 || lsmt.length < layers.length) return;
  if (!lsmt.some(({ header }) => header.virtualSize > 0)) {
    problems.addError(
      null,
      new OverlaybdError('BAD_FORMAT', `${plan.name}: no layer gives a virtual size`),
    );
  }
  try {
    await mergedIndex(lsmt, MAX_VIRTUAL_SIZE, plan.name);
  } catch (error) {
    problems.addError(null, error);
  }
}

function dataChecks(
  { layers }: OpenedStack,
  problems: ProblemList,
): { layer: number; check: DataCheck }[] {
  const checker = new DataChecker();
  const seen = new Set<string>();
  return layers.flatMap((opened, layer) => {
    const identity = opened.files[0]?.identity;
    // A blob that is in the stack twice is read once.
    if (identity === undefined || seen.has(identity)) return [];
    seen.add(identity);
    const check = checker.check(opened, {
      sink: (problem) => problems.addProblem(layer, problem),
      failed: (error) => problems.addError(layer, error),
    });
    return check ? [{ layer, check }] : [];
  });
}

async function runCheck(
  check: DataCheck,
  run: Run,
  { signal, progress }: VerifyOptions,
): Promise<void> {
  let sliceEnd = performance.now() + SLICE_MS;
  for await (const bytes of check.steps()) {
    run.checked += bytes;
    progress(run.checked, run.total);
    if (performance.now() < sliceEnd) continue;
    await nextTurn();
    if (signal.aborted) return;
    sliceEnd = performance.now() + SLICE_MS;
  }
}
