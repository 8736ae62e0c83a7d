// Whether goals are met: compares measurements with the bounds of goals.ts. Numbers only.
import type { ExportsMemory } from './exports-memory.js';
import type { Memory } from './fleet.js';
import { GOALS, type Goal } from './goals.js';
import type { Sample } from './sample.js';
import type { StartTime } from './start-time.js';
import { ratioOf, spreadOf, type Spread } from './summary.js';

/** All measurements that goals refer to; missing ones are empty. */
export interface Measured {
  samples: readonly Sample[];
  memory: readonly Memory[];
  exports: readonly ExportsMemory[];
  starts: readonly StartTime[];
  /** Lookups, times those of a binary search in C++, one figure a run. */
  lookups: readonly number[];
}

export interface Verdict {
  goal: Goal;
  /** In the unit of the goal's bound. */
  spread: Spread;
  met: boolean;
}

/** The goals for which there are measurements, judged by the median. */
export function judgeAll(measured: Measured, goals: readonly Goal[] = GOALS): Verdict[] {
  return goals.flatMap((goal): Verdict[] => {
    const spread = spreadFor(goal, measured);
    if (!spread) return [];
    const met = isCeiling(goal) ? spread.median <= goal.bound : spread.median >= goal.bound;
    return [{ goal, spread, met }];
  });
}

/** Whether less is better. */
export function isCeiling(goal: Goal): boolean {
  return goal.kind === 'memory' || goal.kind === 'start';
}

function spreadFor(goal: Goal, measured: Measured): Spread | undefined {
  const { samples, memory, exports, starts, lookups } = measured;
  switch (goal.kind) {
    case 'versus':
      return ratioOf(samples, goal.work, goal.metric, goal.server, goal.peer);
    case 'lookup':
      return maybeSpread(lookups);
    case 'start':
      return maybeSpread(starts.find(({ server }) => server === goal.server)?.times ?? []);
    case 'memory':
      switch (goal.of) {
        case 'one image':
          return maybeSpread(exports.map(({ one }) => one));
        case 'further export':
          return maybeSpread(exports.map(({ further }) => further));
        case 'after load':
          return maybeSpread(
            memory.filter(({ server }) => server === 'obd-lsmt').map(({ after }) => after),
          );
      }
  }
}

function maybeSpread(values: readonly number[]): Spread | undefined {
  return values.length === 0 ? undefined : spreadOf(values);
}
