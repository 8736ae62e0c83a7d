// `--check`: guards against large losses. Half of each goal's ratio is enough, so that noise does not fail it; a
// comparison that fails anyway is measured a second time.
import type { CaseName } from './cases.js';
import { measureExports } from './exports-memory.js';
import { Fleet, type Step } from './fleet.js';
import type { ImageForms } from './forms.js';
import { GOALS, VERSUS_GOALS, type Goal, type VersusGoal } from './goals.js';
import type { BenchOptions } from './options.js';
import { goalTable } from './report.js';
import { judgeAll, type Measured, type Verdict } from './verdicts.js';
import { findWork } from './works.js';

const SHARE = 0.5;
const WARM_UP_SECONDS = 0.5;
const EXPORT_RUNS = 2;

const COMPARED: readonly VersusGoal[] = VERSUS_GOALS.filter(({ peer }) => peer === 'nbdkit');

/**
 * @param folder for sockets
 * @returns the table, and whether nothing was lost
 */
export async function check(
  options: Pick<BenchOptions, 'rounds' | 'seconds'>,
  forms: ImageForms,
  folder: string,
  say: (line: string) => void,
): Promise<{ text: string; good: boolean }> {
  const fleet = await Fleet.start(serversOf(COMPARED), forms, folder);
  const run = (goals: readonly VersusGoal[]): Promise<Verdict[]> =>
    compare(fleet, goals, options, say);
  const first = await run(COMPARED);
  const lost = COMPARED.filter((goal) => isLost(goal, first));
  if (lost.length > 0) say(`once more: ${lost.map(({ about }) => about).join('; ')}`);
  const second = lost.length > 0 ? await run(lost) : [];
  await fleet.stop();
  const memory = await checkMemory(forms, folder);
  const final = first.map((verdict) => {
    const again = second.find(({ goal }) => isSame(goal, verdict.goal));
    return again ?? verdict;
  });
  const verdicts = [...final, ...memory];
  return { text: goalTable(verdicts), good: verdicts.every(({ met }) => met) };
}

async function compare(
  fleet: Fleet,
  goals: readonly VersusGoal[],
  { rounds, seconds }: Pick<BenchOptions, 'rounds' | 'seconds'>,
  say: (line: string) => void,
): Promise<Verdict[]> {
  const steps = [...new Set(goals.map(({ work }) => work))].map((name): Step => ({
    work: findWork(name),
    servers: serversOf(goals.filter(({ work }) => work === name)),
  }));
  const samples = await fleet.rounds(steps, { rounds, seconds, warmUp: WARM_UP_SECONDS, say });
  return judgeAll({ ...NOTHING, samples }, goals.map(loosened));
}

/** Memory does not depend on the load of the machine. */
async function checkMemory(forms: ImageForms, folder: string): Promise<Verdict[]> {
  const goals = GOALS.filter((goal) => goal.kind === 'memory').map(loosened);
  const exports = await measureExports(forms, folder, EXPORT_RUNS);
  return judgeAll({ ...NOTHING, exports }, goals);
}

const NOTHING: Measured = { samples: [], memory: [], exports: [], starts: [], lookups: [] };

function loosened<T extends Goal>(goal: T): T {
  return { ...goal, bound: goal.kind === 'memory' ? goal.bound / SHARE : goal.bound * SHARE };
}

function isLost(goal: VersusGoal, verdicts: readonly Verdict[]): boolean {
  return verdicts.some((verdict) => isSame(verdict.goal, goal) && !verdict.met);
}

function isSame(a: Goal, b: Goal): boolean {
  return a.kind === b.kind && a.about === b.about;
}

function serversOf(goals: readonly VersusGoal[]): CaseName[] {
  return [...new Set(goals.flatMap(({ server, peer }) => [server, peer]))];
}
