// Undoes the steps of something that failed half way, newest first. Knows no mounts.

import { messageOf, OverlaybdError } from '../errors.js';

interface Step {
  readonly back: () => Promise<void>;
  readonly byHand: string;
}

export class Undo {
  readonly #steps: Step[] = [];

  /**
   * A step was taken.
   * @param back undoes it
   * @param byHand what stays, and how to undo it, if `back` fails
   */
  add(back: () => Promise<void>, byHand: string): void {
    this.#steps.push({ back, byHand });
  }

  /** Undoes everything. Never throws. @returns what could not be undone, a sentence each */
  async run(): Promise<string[]> {
    const left: string[] = [];
    for (let step = this.#steps.pop(); step; step = this.#steps.pop()) {
      try {
        await step.back();
      } catch (error) {
        left.push(`${step.byHand} (${messageOf(error)})`);
      }
    }
    return left;
  }
}

/**
 * Runs `work`; if it throws, undoes the steps that it has added.
 * @throws what `work` throws, with a line for each step that could not be undone
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
