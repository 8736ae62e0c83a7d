// The text report of `verify`.
import { test } from 'tap';
import { renderReport } from '../../../daemon/inspect/render-report.js';
import type { VerifyReport } from '../../../daemon/inspect/verify-image.js';

const good: VerifyReport = {
  name: 'image',
  good: true,
  interrupted: false,
  problemCount: 0,
  problems: [],
  notes: [],
  layers: [{ path: '/a', role: 'lower', problemCount: 0 }],
  checkedBytes: 1 << 20,
  totalBytes: 1 << 20,
  seconds: 0.5,
};

await test('reports of a good image, a bad one, and an interrupted check', (t) => {
  t.match(
    renderReport(good),
    /^image: good: 1 layer; 1\.0 MiB checked in 0\.5 s \(2\.0 MiB\/s\)\n$/,
  );
  const message = '/b: \u001b[31m';
  const problems = [{ layer: 1, code: 'BAD_FORMAT' as const, message, facts: {} }];
  const layers = [good.layers[0]!, { path: '/b', role: 'lower' as const, problemCount: 3 }];
  const bad = renderReport({ ...good, good: false, problemCount: 3, problems, layers });
  t.match(bad, /^\/b: \\u\{1b\}\[31m\nand 2 more\nimage: bad: 3 problems in 1 of 2 layers; /);
  const early = { ...good, good: false, interrupted: true, checkedBytes: 1024, notes: ['a note'] };
  t.match(renderReport(early), /^image: note: a note\nimage: interrupted: no problem so far; 1/);
  const named = { ...early, notes: ['image: a note'] };
  t.equal(renderReport(named), renderReport(early), 'its name is there once');
  t.match(renderReport(early), / of 1\.0 MiB checked/);
  t.end();
});
