// The runner as a program: what it does with paths that name no tests.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'tap';

const RUNNER = fileURLToPath(new URL('../../runner/main.js', import.meta.url));

await test('a folder without test files, or a path that does not exist, fails the run', (t) => {
  const folder = t.testdir({ 'helper.js': '' });
  for (const [path, message] of [
    [folder, `${folder}: no test files`],
    [join(folder, 'missing'), 'ENOENT'],
  ] as const) {
    const { status, stderr } = spawnSync(
      process.execPath,
      [RUNNER, fileURLToPath(import.meta.url), path],
      {
        encoding: 'utf8',
      },
    );
    t.equal(status, 1);
    t.ok(stderr.includes(message), stderr);
  }
  t.end();
});
