// .ci/again: what of a log it runs once more, and what it leaves alone.
import { execFile } from 'node:child_process';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { test, type Test } from 'tap';

const run = promisify(execFile);
const AGAIN = join(process.cwd(), '.ci/again');

interface Result {
  readonly code: number;
  readonly output: string;
}

/** @param code of the part when it is run again */
async function again(t: Test, log: string, code = 0): Promise<Result> {
  const folder = t.testdir({ log });
  for (const each of ['.ci', 'test', 'test/asan']) mkdirSync(join(folder, each));
  copyFileSync(AGAIN, join(folder, '.ci/again'));
  const part = `#!/bin/bash\necho "runs: $*"\nexit ${code}\n`;
  writeFileSync(join(folder, 'test/asan/run'), part, { mode: 0o755 });
  try {
    const { stdout } = await run('bash', [join(folder, '.ci/again'), 'asan', join(folder, 'log')]);
    return { code: 0, output: stdout };
  } catch (error) {
    const { code: failed, stdout } = error as { code: number; stdout: string };
    return { code: failed, output: stdout };
  }
}

const FILE = 'out/test/unit/native/socket.test.js';
const SUM = 'addon: 812 checks in 21 files; failed: 1; sanitizer reports: 0\n';

await test('what failed under sanitizers is named, and run again alone', async (t) => {
  const log = `test/asan/ahead.test.cc:77: failed: taken == 3\nahead-threads: failed\n${FILE}: failed\n  not ok 3 - late\n${SUM}`;
  const { code, output } = await again(t, log);
  t.equal(code, 0);
  t.match(output, 'ci: asan: once more, alone: ahead-threads\n');
  t.match(output, `ci: asan: once more, alone: ${FILE}\n`);
  t.match(output, `runs: ahead-threads ${FILE}\n`);
  t.equal((await again(t, `shim: failed\n${SUM}`, 1)).code, 1);
});

await test('what no time can mend is not run again', async (t) => {
  const cases = {
    'it names nothing that failed': 'native/src/a.cc:1:1: error: expected a type\n',
    'it does not depend on time': `${FILE}: failed\n${SUM.replace('reports: 0', 'reports: 2')}`,
    '4 failed, more than 3': ['shim', 'kernel', 'ahead', FILE]
      .map((each) => `${each}: failed\n`)
      .join(''),
  };
  for (const [why, log] of Object.entries(cases)) {
    // oxlint-disable-next-line no-await-in-loop
    const { code, output } = await again(t, log);
    t.equal(code, 2, why);
    t.match(output, `It was not run again: ${why}`);
    t.notMatch(output, 'runs:');
  }
});
