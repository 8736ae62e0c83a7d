// Which threads the runner starts from the bundle.
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { test } from 'tap';
import { THREAD_ENTRIES } from '../../../daemon/bundle/compile.js';
import { digestOfInputs, writeStamp } from '../../../daemon/bundle/tools/inputs.js';
import { startThread } from '../../../daemon/lib/thread.js';
import { isBundleCurrent, useBundledThreads } from '../../runner/bundled-threads.js';

const GLOBAL = 'startBundledThread';

await test('a bundle that is older than the modules is not used', (t) => {
  const root = t.testdir({
    out: { daemon: { 'a.js': '1;' }, bundle: {} },
    node_modules: { '.package-lock.json': '{}' },
  });
  const [out, modules] = [join(root, 'out'), join(root, 'out/daemon')];
  t.notOk(isBundleCurrent(out), 'there is none');
  writeStamp(
    join(out, 'bundle'),
    digestOfInputs(modules, join(root, 'node_modules/.package-lock.json')),
  );
  t.ok(isBundleCurrent(out));
  writeFileSync(join(modules, 'a.js'), '2;');
  t.notOk(isBundleCurrent(out), 'a module has changed');
  t.end();
});

await test("the daemon's threads are bundled, those of tests are not", async (t) => {
  const before = Reflect.get(globalThis, GLOBAL) as unknown;
  t.teardown(() => {
    if (before === undefined) Reflect.deleteProperty(globalThis, GLOBAL);
    else Object.assign(globalThis, { [GLOBAL]: before });
  });
  const out = t.testdir();
  const write = (path: string, text: string): URL => {
    mkdirSync(dirname(join(out, path)), { recursive: true });
    writeFileSync(join(out, path), text);
    return pathToFileURL(join(out, path));
  };
  for (const name of THREAD_ENTRIES) write(`bundle/${name}.bundle`, '');
  write('bundle/main.js', "require('node:worker_threads').parentPort.postMessage('bundle');");
  const own = write(
    'test/support/own.js',
    "import { parentPort } from 'node:worker_threads'; parentPort.postMessage('own');",
  );
  const [entry] = THREAD_ENTRIES.map((name) => pathToFileURL(join(out, `daemon/${name}.js`)));
  if (!entry) throw new Error('no entry');
  useBundledThreads(out);
  t.same(await once(startThread(entry, {}), 'message'), ['bundle']);
  t.same(await once(startThread(own, {}), 'message'), ['own']);
});
