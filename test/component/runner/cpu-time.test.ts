// CPU time of test files.
import { execFileSync } from 'node:child_process';
import { test } from 'tap';
import { cpuMsOfChildren, cpuMsSoFar, cpuTable } from '../../runner/cpu-time.js';
import { runTestFile } from '../../runner/test-process.js';

const BUSY = 'for (const end = process.cpuUsage().user + 20_000; process.cpuUsage().user < end; );';

await test('the time of a process has that of its children', (t) => {
  const before = cpuMsSoFar();
  execFileSync(process.execPath, ['-e', BUSY]);
  t.ok(cpuMsSoFar() - before >= 20, `${cpuMsSoFar() - before} ms`);
  t.end();
});

await test('times of a shell', (t) => {
  t.equal(cpuMsOfChildren('0m0.000000s 0m0.010000s\n1m2.500000s 0m0.25s\n'), 62_750);
  t.equal(cpuMsOfChildren(''), 0, 'if it was killed');
  t.end();
});

await test('a file in a process of its own', async (t) => {
  const folder = t.testdir({ 'busy.mjs': `${BUSY} process.exitCode = 3;` });
  const counted = await runTestFile('busy.mjs', 600_000, { folder, countsCpu: true });
  t.equal(counted.code, 3);
  t.ok(counted.cpuMs >= 20, `${counted.cpuMs} ms`);
});

await test('the table begins with the dearest file', (t) => {
  const files = Array.from({ length: 20 }, (_, i): [string, number] => [`${i}.js`, i * 1000]);
  const lines = cpuTable(new Map(files));
  t.equal(lines[1], '   19.00  19.js');
  t.equal(lines.length, 17);
  t.match(lines.at(-1), /^ {2}190\.00 {2}all 20 files/);
  t.end();
});
