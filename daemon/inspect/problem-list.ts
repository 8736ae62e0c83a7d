// Collects what `verify` finds: keeps the first problems and counts all of them, since a hostile
// blob can have a million.

import {
  OverlaybdError,
  factsOf,
  formatError,
  type ErrorCode,
  type ErrorFacts,
  type FormatProblem,
} from '../errors.js';
import { publicFacts } from '../lib/fault.js';

/** Problems that are kept and printed. */
export const MAX_LISTED = 100;

export interface Problem {
  /** Number of the layer, the bottom one being 0; null for the image as a whole. */
  readonly layer: number | null;
  readonly code: ErrorCode;
  readonly message: string;
  /** What it is about: docs/errors.md. */
  readonly facts: ErrorFacts;
}

export class ProblemList {
  readonly listed: Problem[] = [];
  /** All of them, also those that are not listed. */
  count = 0;
  readonly #byLayer = new Map<number | null, number>();

  addProblem(layer: number | null, problem: FormatProblem): void {
    // The text is made only for problems that are printed.
    if (this.#countOne(layer)) this.#list(layer, formatError(problem));
  }

  /** @throws anything that is not an OverlaybdError: a bug, and not a finding */
  addError(layer: number | null, error: unknown): void {
    if (!(error instanceof OverlaybdError)) throw error;
    if (this.#countOne(layer)) this.#list(layer, error);
  }

  countOf(layer: number | null): number {
    return this.#byLayer.get(layer) ?? 0;
  }

  #countOne(layer: number | null): boolean {
    this.count++;
    this.#byLayer.set(layer, this.countOf(layer) + 1);
    return this.listed.length < MAX_LISTED;
  }

  #list(layer: number | null, error: OverlaybdError): void {
    const { code, message } = error;
    this.listed.push({ layer, code, message, facts: publicFacts(factsOf(error)) });
  }
}
