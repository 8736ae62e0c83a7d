// The comparison in short: which rows it has, in which order, and what is a loss.
import t from 'tap';
import type { RowName } from '../../bench/cases.js';
import { makeSample, type Sample } from '../../bench/sample.js';
import { speedTable } from '../../bench/speed-table.js';
import { summarize } from '../../bench/summary.js';
import type { WorkName } from '../../bench/works.js';

const SERVERS: readonly RowName[] = ['obd-lsmt', 'obd-lz4', 'nbdkit', 'floor-lz4'];

function sample(server: RowName, work: WorkName, iops: number, cpuSeconds = 1): Sample {
  const result = { iops, p50: 1e6 / iops, p99: 1e6 / iops, rate: iops / 1000, requests: 1000 };
  return makeSample({ server, work, round: 1, result, cpuSeconds });
}

function rowsOf(samples: readonly Sample[]): string[][] {
  const [, , ...lines] = speedTable(summarize(samples, SERVERS)).split('\n');
  return lines.map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

await t.test('the greatest loss comes first, in bold, and the machine has a column', (test) => {
  const rows = rowsOf([
    sample('nbdkit', 'rand-qd16', 100),
    sample('obd-lsmt', 'rand-qd16', 150),
    sample('obd-lz4', 'rand-qd16', 90),
    sample('nbdkit', 'rand-qd1-busy', 100),
    sample('obd-lsmt', 'rand-qd1-busy', 80),
    sample('nbdkit', 'cold-qd8', 100),
    sample('obd-lz4', 'cold-qd8', 300),
  ]);
  test.strictSame(rows, [
    ['4 KiB random, QD1', 'busy', '**0.80**', '-', '-'],
    ['4 KiB random, QD16, 1 connection', 'idle', '1.50', '**0.90**', '-'],
    ['Tree walk from a cold disk, QD8', 'idle', '-', '3.00', '-'],
  ]);
  test.end();
});

await t.test('sequential work has its processor time too, and a floor is no server', (test) => {
  const rows = rowsOf([
    sample('nbdkit', 'seq-qd4', 100, 2),
    sample('obd-lsmt', 'seq-qd4', 100, 1),
    sample('floor-lz4', 'seq-qd4', 900, 1),
  ]);
  test.strictSame(rows, [
    ['256 KiB sequential, QD4, 1 connection', 'idle', '1.00', '-', '-'],
    ['256 KiB sequential, QD4, 1 connection: CPU time', 'idle', '2.00', '-', '-'],
  ]);
  test.strictSame(rowsOf([sample('obd-lsmt', 'seq-qd4', 1)]), [], 'nothing to compare with');
  test.end();
});

await t.test('a floor has rates, and no latencies', (test) => {
  const samples = [sample('floor-lz4', 'lean-qd16', 100), sample('nbdkit', 'lean-qd16', 100)];
  const servers = summarize(samples, SERVERS).map(({ metric, rows }) => [metric, rows.length]);
  test.strictSame(servers, [
    ['iops', 2],
    ['p50', 1],
    ['p99', 1],
  ]);
  test.end();
});
