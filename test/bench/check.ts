// `--check`: guards against large losses (guards.ts). A comparison that fails is measured again before it counts.
import { isFloor, type CaseName } from './cases.js';
import { measureColdWalk } from './cold/cold.js';
import { measureExports } from './exports-memory.js';
import { Fleet, type RoundsOptions, type Step } from './fleet.js';
import { Floors } from './floors.js';
import type { ImageForms } from './forms.js';
import type { VersusGoal } from './goals.js';
import { COLD_GUARDS, GUARDS, MEMORY_GUARDS } from './guards.js';
import type { BenchOptions } from './options.js';
import { buildPrograms } from './programs.js';
import { goalTable } from './report.js';
import { judgeAll, type Measured, type Verdict } from './verdicts.js';
import { COLD_WORKS, WORKS } from './works.js';

const WARM_UP_SECONDS = 0.25;
const EXPORT_RUNS = 2;
/** What is lost in all of them fails. */
const ATTEMPTS = 3;
const COLD_ROUNDS = 2;
const COLD_READS = 300;
/** Where the disk is slow, one round is enough. */
const COLD_SECONDS = 5;

/**
 * @param folder for sockets and programs
 * @returns the table, and whether nothing was lost
 */
export async function check(
  { rounds, seconds }: Pick<BenchOptions, 'rounds' | 'seconds'>,
  forms: ImageForms,
  folder: string,
  say: (line: string) => void,
): Promise<{ text: string; good: boolean }> {
  const programs = await buildPrograms(folder);
  const peers = GUARDS.map(({ peer }) => peer);
  const floors = new Floors(programs['zfile-floor'], forms, say, peers);
  const how = { rounds, seconds, warmUp: WARM_UP_SECONDS, programs, floors, say };
  const fleet = await Fleet.start(serversOf(GUARDS), forms, folder);
  const warm = await measureAgain(GUARDS, say, (goals) => compare(fleet, goals, how));
  await fleet.stop();
  const cases = serversOf(COLD_GUARDS);
  const limits = { rounds: COLD_ROUNDS, mostReads: COLD_READS, mostSeconds: COLD_SECONDS };
  const walk = { works: COLD_WORKS, cases, ...limits, programs };
  const cold = await measureAgain(COLD_GUARDS, say, async (goals) => {
    const samples = await measureColdWalk({ ...walk, say }, forms, folder);
    return judgeAll({ ...NOTHING, samples }, goals);
  });
  const verdicts = [...warm, ...cold, ...(await checkMemory(forms, folder))];
  return { text: goalTable(verdicts), good: verdicts.every(({ met }) => met) };
}

/** Measures all, and what is lost again: a pause of the machine is no loss, but a loss stays one. */
async function measureAgain(
  goals: readonly VersusGoal[],
  say: (line: string) => void,
  measure: (goals: readonly VersusGoal[]) => Promise<Verdict[]>,
): Promise<Verdict[]> {
  let verdicts = await measure(goals);
  for (let attempt = 2; attempt <= ATTEMPTS; attempt++) {
    const lost = goals.filter((goal) => verdicts.some((each) => each.goal === goal && !each.met));
    if (lost.length === 0) break;
    say(`attempt ${attempt}: ${lost.map(({ about }) => about).join('; ')}`);
    const again = await measure(lost);
    verdicts = verdicts.map(
      (verdict) => again.find(({ goal }) => goal === verdict.goal) ?? verdict,
    );
  }
  return verdicts;
}

async function compare(
  fleet: Fleet,
  goals: readonly VersusGoal[],
  how: RoundsOptions,
): Promise<Verdict[]> {
  const steps = WORKS.map((work): Step => {
    return { work, servers: serversOf(goals.filter((goal) => goal.work === work.name)) };
  });
  const samples = await fleet.rounds(
    steps.filter(({ servers }) => servers.length > 0),
    how,
  );
  return judgeAll({ ...NOTHING, samples }, goals);
}

async function checkMemory(forms: ImageForms, folder: string): Promise<Verdict[]> {
  const exports = await measureExports(forms, folder, EXPORT_RUNS);
  return judgeAll({ ...NOTHING, exports }, MEMORY_GUARDS);
}

const NOTHING: Measured = { samples: [], memory: [], exports: [], starts: [], lookups: [] };

function serversOf(goals: readonly VersusGoal[]): CaseName[] {
  const names = new Set(goals.flatMap(({ server, peer }) => [server, peer]));
  return [...names].filter((name): name is CaseName => !isFloor(name));
}
