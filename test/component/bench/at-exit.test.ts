// The one listener for the end of the benchmark.
import { spawnSync } from 'node:child_process';
import { test } from 'tap';
import { atExit, notAtExit } from '../../bench/at-exit.js';

const MODULE = new URL('../../bench/at-exit.js', import.meta.url).href;

await test('twenty actions are one listener, which goes with the last of them', (t) => {
  const before = process.listenerCount('exit');
  const actions = Array.from({ length: 20 }, () => () => undefined);
  for (const each of actions) atExit(each);
  t.equal(process.listenerCount('exit'), before + 1);
  for (const each of actions) notAtExit(each);
  t.equal(process.listenerCount('exit'), before);
  t.end();
});

await test('a process does what is left when it exits, without a warning', (t) => {
  const program = `
    import { atExit, notAtExit } from '${MODULE}';
    const actions = Array.from({ length: 20 }, (_, i) => () => process.stdout.write(i + ' '));
    for (const each of actions) atExit(each);
    for (const each of actions.slice(2)) notAtExit(each);
    process.exit(3);`;
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--input-type=module', '-e', program],
    { encoding: 'utf8', env: { ...process.env, NODE_OPTIONS: '' } },
  );
  t.same([status, stdout, stderr], [3, '0 1 ', '']);
  t.end();
});
