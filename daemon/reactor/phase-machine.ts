// The phase that a connection is in, and the deadline that runs meanwhile. What is true in a phase: phase.ts.

import type { Deadline } from './deadline.js';
import { startDeadline, type Circumstances } from './phase-deadline.js';
import { PHASES, checkNext, type Phase, type PhaseName } from './phase.js';

export class PhaseMachine {
  readonly #deadline: Deadline;
  readonly #circumstances: () => Circumstances;
  #phase: Phase = PHASES.new;

  /** @param circumstances what the deadline of a phase depends on when the phase begins */
  constructor(deadline: Deadline, circumstances: () => Circumstances) {
    this.#deadline = deadline;
    this.#circumstances = circumstances;
  }

  get current(): Phase {
    return this.#phase;
  }

  is(name: PhaseName): boolean {
    return this.#phase.name === name;
  }

  mayBecome(name: PhaseName): boolean {
    return this.#phase.next.includes(name);
  }

  /** @throws TypeError for a phase that cannot follow: a bug */
  enter(name: PhaseName): void {
    const phase = PHASES[name];
    checkNext(this.#phase, phase);
    const before = this.#phase.deadline;
    this.#phase = phase;
    if (phase.deadline === before) return;
    startDeadline(this.#deadline, phase.deadline, this.#circumstances());
  }
}
