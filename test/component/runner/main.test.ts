// The runner as a program: what it does with paths that name no tests.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
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

await test('the last lines name each file that failed, and all of its output is kept', (t) => {
  const folder = t.testdir({
    'good.test.js': '',
    // In one write: what a process that ends has not written yet, because nobody reads, is lost.
    'bad.test.js': `console.log(Array.from({ length: 500 }, (_, i) => 'line ' + i).join('\\n')); throw new Error('broken');`,
  });
  const files = ['bad.test.js', 'good.test.js'].map((name) => join(folder, name));
  const { status, stdout } = spawnSync(process.execPath, [RUNNER, ...files], {
    cwd: folder,
    encoding: 'utf8',
  });
  t.equal(status, 1);
  const kept = files.map((file) => join('out/test-failures', `${file.replaceAll('/', '+')}.tap`));
  t.same(
    stdout.trimEnd().split('\n').slice(-3, -1).toSorted(),
    files.map((file, i) => `failed: ${file}; all of its output is in ${kept[i]}`),
  );
  const output = readFileSync(join(folder, kept[0] as string), 'utf8');
  t.match(output, /line 499\n/);
  t.match(output, /broken/);
  t.end();
});
