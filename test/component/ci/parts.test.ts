// .ci/parts.sh with parts of a second: who runs what and when, what runs again, and what the last lines say.
import { execFile } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { test, type Test } from 'tap';

const run = promisify(execFile);
const PARTS = join(process.cwd(), '.ci/parts.sh');

/** What a part does when it is run again. */
const AGAIN = `#!/bin/bash
case $1 in
  unsteady) echo 'ci: unsteady: once more, alone: out/test/a.test.js' ;;
  broken) printf '%s\\n' 'ci: broken: once more, alone: out/test/b.test.js' 'not ok 1 - b, again'; exit 1 ;;
  *) echo 'It was not run again: it names nothing that failed'; exit 2 ;;
esac
`;

interface Report {
  readonly code: number;
  readonly output: string;
}

/** Runs the lines of a list, then what failed again, then the report. `$F` is the folder of the test. */
async function ci(t: Test, list: string): Promise<Report> {
  const folder = t.testdir({ logs: {} });
  const again = join(folder, 'again');
  writeFileSync(again, AGAIN);
  chmodSync(again, 0o755);
  const script = `set -euo pipefail
    logs=$F/logs; . ${PARTS}; again=$F/again
    trap end_parts EXIT
    run_parts; run_again; report`;
  const child = run('bash', ['-c', script], { env: { ...process.env, F: folder } });
  child.child.stdin?.end(list);
  try {
    const { stdout } = await child;
    return { code: 0, output: stdout };
  } catch (error) {
    const { code, stdout } = error as { code: number; stdout: string };
    return { code, output: stdout };
  }
}

/** A part that writes its start and its end into `$F/order`. */
const note = (name: string, command = 'true'): string =>
  `bash -c 'echo ${name} begins >>$F/order; ${command}; echo ${name} ends >>$F/order; echo "# { total: 2, pass: 1, skip: 1 }"'`;

await test('parts of one worker take turns, and the others go to the one that is free', async (t) => {
  const list = [
    // Worker 1 has something to do until all the others have ended.
    `1 long ${note('long', 'until grep -q "c ends" $F/order; do sleep 0.02; done')}`,
    `2 a ${note('a')}`,
    `2 b ${note('b')}`,
    `- c ${note('c')}`,
  ];
  const { code, output } = await ci(t, `${list.join('\n')}\n`);
  t.equal(code, 0);
  const order = readFileSync(join(t.testdirName, 'order'), 'utf8').split('\n');
  t.same(
    order.filter((line) => !line.startsWith('long')),
    ['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends', ''],
  );
  t.match(output, /ci: c passed in \d+ s\n/);
  t.match(output, /\n4 passed, 0 failed, 4 skipped\n$/);
});

await test('a part that passes when it is run again', async (t) => {
  const first = `printf "%s\\n" "not ok 1 - a, at first" "# { total: 3, pass: 2, fail: 1 }"; exit 1`;
  const { code, output } = await ci(t, `1 unsteady bash -c '${first}'\n2 good true\n`);
  t.equal(code, 0);
  const last = output.slice(output.lastIndexOf('failed at first'));
  t.match(last, /not ok 1 - a, at first/);
  t.match(last, /UNSTEADY: .*: unsteady: out\/test\/a\.test\.js/);
  t.match(last, /\n2 passed, 0 failed, 0 skipped\n$/);
});

await test('a part that fails again, and one that is not run again', async (t) => {
  const many = 'for i in {1..900}; do echo "not ok $i - one of many"; done; exit 3';
  const list = `1 broken bash -c 'echo "# { total: 5, pass: 1, fail: 4 }"; exit 1'\n- many bash -c '${many}'\n`;
  const { code, output } = await ci(t, list);
  t.equal(code, 1);
  const last = output.trimEnd().split('\n').slice(-150).join('\n');
  t.match(last, /ci: broken FAILED.*Run again, alone: out\/test\/b\.test\.js\. What failed again:/);
  t.match(last, /not ok 1 - b, again/);
  t.match(last, /ci: many FAILED with exit code 3\. It was not run again: it names nothing/);
  t.match(last, /not ok 1 - one of many/);
  t.match(last, /ci: broken FAILED after \d+ s\n/);
  t.match(last, /\n1 passed, 4 failed, 0 skipped$/);
});

await test('parts that are killed, alone or with their worker', async (t) => {
  const list = `1 shot bash -c 'echo its last words; kill -9 $$'
1 orphan bash -c 'echo of the orphan; kill -9 $PPID'
1 never echo never
2 other true
`;
  const { code, output } = await ci(t, list);
  t.equal(code, 1);
  t.match(output, /ci: shot FAILED with exit code 137[^]*its last words/);
  t.match(output, /ci: orphan FAILED[^]*of the orphan/);
  t.match(output, /ci: never FAILED: it was not begun/);
  t.match(output, /ci: other passed/);
  t.notMatch(output, /NOT ENDED/);
  t.match(output, /\n0 passed, 1 failed, 0 skipped\n$/);
});

await test('a part whose worker ends when it has begun, without a log, is not lost', async (t) => {
  // As on a full disk: nothing can be written any more, so the worker ends.
  const { code, output } = await ci(t, `1 full bash -c 'rm $F/logs/full.running'\n2 other true\n`);
  t.equal(code, 1);
  t.match(output, /ci: full FAILED: it .* left no log/);
  t.match(output, /ci: other passed/);
  t.match(output, /\n0 passed, 1 failed, 0 skipped\n$/);
});
