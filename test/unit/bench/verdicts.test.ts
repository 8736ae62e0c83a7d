// How the benchmark judges: paired ratios, medians, goals at their limits. It measures nothing.
import { test } from 'tap';
import { GOALS, type Goal } from '../../bench/goals.js';
import { COLD_GUARDS, GUARDS } from '../../bench/guards.js';
import { parseOptions } from '../../bench/options.js';
import { makeSample, type Sample } from '../../bench/sample.js';
import { ratioOf, spreadOf } from '../../bench/summary.js';
import { ALL_WORKS, serversOf } from '../../bench/works.js';
import { judgeAll, type Measured } from '../../bench/verdicts.js';

const NOTHING: Measured = { samples: [], memory: [], exports: [], starts: [], lookups: [] };

function sample(server: Sample['server'], round: number, iops: number, p50 = 50): Sample {
  const result = { iops, p50, p99: p50, rate: 1, requests: 1 };
  return makeSample({ server, work: 'rand-qd16', round, result, cpuSeconds: 1 });
}

function judge(goal: Goal, measured: Partial<Measured>): boolean | undefined {
  return judgeAll({ ...NOTHING, ...measured }, [goal])[0]?.met;
}

function oneRound(ours: number): Sample[] {
  return [sample('nbdkit', 1, 100), sample('obd-lsmt', 1, ours)];
}

await test('spreads of an odd number, an even number, and no values', (t) => {
  t.same(spreadOf([3, 1, 2]), { median: 2, min: 1, max: 3 });
  t.same(spreadOf([4, 1, 2, 3]), { median: 2.5, min: 1, max: 4 });
  t.throws(() => spreadOf([]), RangeError);
  t.end();
});

await test('each round is compared with itself, and above 1 is better', (t) => {
  // In round 2 the machine is ten times slower.
  const samples = [
    sample('nbdkit', 1, 100, 10),
    sample('obd-lsmt', 1, 200, 5),
    sample('nbdkit', 2, 10, 100),
    sample('obd-lsmt', 2, 15, 80),
    sample('obd-lsmt', 3, 999, 1),
  ];
  const iops = ratioOf(samples, 'rand-qd16', 'iops', 'obd-lsmt', 'nbdkit');
  t.same(iops, { median: 1.75, min: 1.5, max: 2 });
  const latency = ratioOf(samples, 'rand-qd16', 'p50', 'obd-lsmt', 'nbdkit');
  t.same(latency, { median: 1.625, min: 1.25, max: 2 });
  t.equal(ratioOf(samples, 'rand-qd16', 'iops', 'obd-lsmt', 'qemu-nbd'), undefined);
  t.end();
});

await test('goals are met at their limits and missed beyond', (t) => {
  const raw: Goal = {
    kind: 'versus',
    about: '',
    bound: 1.5,
    server: 'obd-lsmt',
    peer: 'nbdkit',
    work: 'rand-qd16',
    metric: 'iops',
  };
  t.equal(judge(raw, { samples: oneRound(150) }), true);
  t.equal(judge(raw, { samples: oneRound(149) }), false);
  t.equal(judge(raw, {}), undefined, 'without a measurement there is no verdict');
  const memory: Goal = { kind: 'memory', about: '', bound: 90, of: 'one image' };
  t.equal(judge(memory, { exports: [{ one: 90, all: 0, further: 0 }] }), true);
  t.equal(judge(memory, { exports: [{ one: 91, all: 0, further: 0 }] }), false);
  const start: Goal = { kind: 'start', about: '', bound: 300, server: 'obd-lz4-8' };
  t.equal(judge(start, { starts: [{ server: 'obd-lz4-8', times: [301, 299, 300] }] }), true);
  const lookup: Goal = { kind: 'lookup', about: '', bound: 10 };
  t.equal(judge(lookup, { lookups: [9, 11, 8] }), false);
  t.end();
});

await test('every goal has a positive limit, and no two rows look the same', (t) => {
  t.ok(GOALS.every(({ bound }) => bound > 0));
  const rows = GOALS.map((goal) => `${goal.about} ${goal.kind === 'versus' ? goal.peer : ''}`);
  t.equal(new Set(rows).size, rows.length);
  t.end();
});

await test('a guard asks for at most half of its goal, and its work has its servers', (t) => {
  for (const { about, server, peer, work, metric, bound } of [...GUARDS, ...COLD_GUARDS]) {
    const goal = GOALS.find(
      (each) =>
        each.kind === 'versus' &&
        each.server === server &&
        each.peer === peer &&
        each.work === work.replace('lean', 'rand') &&
        (each.metric === metric || metric === 'p50'),
    );
    t.ok(goal && bound <= goal.bound / 2, `${about}: ${bound} of ${goal?.bound}`);
    const found = ALL_WORKS.find(({ name }) => name === work);
    t.strictSame(found && serversOf(found, [server]), [server]);
  }
  t.end();
});

await test('a server without spin takes part only in works that name it', (t) => {
  const works = ALL_WORKS.filter((work) => serversOf(work, ['obd-lz4-no-spin']).length > 0);
  t.strictSame(
    works.map(({ name }) => name),
    ['rand-qd1-busy', 'lean-qd1', 'lean-qd1-busy'],
  );
  t.end();
});

await test('figures that follow from those of a client', (t) => {
  // 1000 requests of 4 KB in two seconds, for which the server ran for half a second.
  const result = { iops: 500, p50: 1, p99: 2, rate: 2, requests: 1000 };
  const made = makeSample({ server: 'nbdkit', work: 'seq-qd4', round: 1, result, cpuSeconds: 0.5 });
  t.match(made, { seconds: 2, cpu: 500, cpuGb: 125 });
  t.end();
});

await test('the command line: modes, times, and refused words', (t) => {
  t.equal(parseOptions(['--help']), undefined);
  t.match(parseOptions([]), { mode: 'load', rounds: 5, size: 512 });
  t.match(parseOptions(['--quick', '--check']), { mode: 'check', rounds: 3, size: 64 });
  t.match(parseOptions(['--soak', '10m']), { mode: 'soak', soakSeconds: 600 });
  for (const bad of [
    ['--soak', '10'],
    ['--soak', '0s'],
    ['--check', '--micro'],
    ['--check', '--docs'],
    ['--quick', '--docs'],
    ['--rounds', '1.5'],
    ['--seconds', '-1'],
    ['--servers', 'apache'],
  ]) {
    t.throws(() => parseOptions(bad), Error, bad.join(' '));
  }
  t.end();
});
