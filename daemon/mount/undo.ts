// Undoes the steps of an operation that failed half way, newest first. Knows nothing of mounts.

import { messageOf, OverlaybdError } from '../errors.js';

interface Step {
  readonly undo: () => Promise<void>;
  readonly byHand: string;
}

export class Undo {
  readonly #steps: Step[] = [];

  /**
   * Adds a step that was done.
   * @param undo undoes the step
   * @param byHand if `undo` fails: what is left, and how the user can undo it
   */
  add(undo: () => Promise<void>, byHand: string): void {
    this.#steps.push({ undo, byHand });
  }

  /** Undoes everything. Never throws. @returns one sentence for each step that could not be undone */
  async run(): Promise<string[]> {
    const left: string[] = [];
    for (let step = this.#steps.pop(); step; step = this.#steps.pop()) {
      try {
        await step.undo();
      } catch (error) {
        left.push(`${step.byHand} (${messageOf(error)})`);
      }
    }
    return left;
  }
}

/**
 * Runs `work`. If it throws, undoes the steps that it has added.
 * @throws what `work` throws, with a sentence for each step that could not be undone
 */
export async function undoIfFails<T>(work: (undo: Undo) => Promise<T>): Promise<T> {
  const undo = new Undo();
  try {
    return await work(undo);
  } catch (error) {
    const left = await undo.run();
    if (left.length === 0) throw error;
    const code = error instanceof OverlaybdError ? error.code : 'IO';
    throw new OverlaybdError(code, [messageOf(error), ...left].join('; '), { cause: error });
  }
}
