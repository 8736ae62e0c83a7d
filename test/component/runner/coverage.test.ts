// Coverage of a small project, whose numbers are known.
import { spawnSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'tap';
import { beginCoverage, reportCoverage } from '../../runner/coverage.js';

const MODULES = resolve(import.meta.dirname, '../../../../node_modules');

await test('processes write what they have covered, and it must be enough', async (t) => {
  // Not below .tap, of which nothing is counted.
  const root = mkdtempSync(join(tmpdir(), 'obd-'));
  t.teardown(() => rmSync(root, { recursive: true }));
  symlinkSync(MODULES, join(root, 'node_modules'));
  const ask = (percent: number): void => {
    const limits = { statements: percent, lines: percent, branches: 0, functions: 0 };
    const project = { name: 'small', type: 'module', tap: { plugin: [], ...limits } };
    writeFileSync(join(root, 'package.json'), JSON.stringify(project));
  };
  ask(90);
  writeFileSync(
    join(root, 'half.js'),
    'export function used() {}\nexport function unused() {\n}\n\n',
  );
  writeFileSync(join(root, 'a.test.js'), "import { used } from './half.js';\nused();\n");
  const last = join(root, '.tap/coverage');
  mkdirSync(last, { recursive: true });
  writeFileSync(join(last, 'of-the-last-run.json'), '{}');

  const environment = beginCoverage(root, ['a.test.js']);
  t.throws(() => readdirSync(last), { code: 'ENOENT' });
  const { status } = spawnSync(process.execPath, ['a.test.js'], {
    cwd: root,
    env: { ...process.env, ...environment },
  });
  t.equal(status, 0);
  const [name = ''] = readdirSync(last);
  const { result } = JSON.parse(readFileSync(join(last, name), 'utf8'));
  t.same(
    result.map(({ url }: { url: string }) => url.slice(url.lastIndexOf('/'))),
    ['/half.js'],
  );
  t.equal(reportCoverage(root), false, 'two of three lines');
  ask(50);
  t.equal(reportCoverage(root), true);
});
