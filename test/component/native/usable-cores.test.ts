// A process that may use one core of several: no helper decodes on that core, too.
import { spawnSync } from 'node:child_process';
import { test } from 'tap';
import { requireTool } from '../../support/tools.js';

const MODULE = new URL('../../../daemon/native/decode-ahead.js', import.meta.url).href;

await test('no round of reads begins', async (t) => {
  if (!requireTool(t, 'taskset')) return;
  const program = `
    import { decodeAhead } from '${MODULE}';
    decodeAhead.open();
    console.log(decodeAhead.begin());`;
  const own = spawnSync('taskset', ['-cp', `${process.pid}`], { encoding: 'utf8' });
  const [, core = '0'] = /: (\d+)/.exec(own.stdout) ?? [];
  const { stdout, stderr } = spawnSync(
    'taskset',
    ['-c', core, process.execPath, '--input-type=module', '-e', program],
    { encoding: 'utf8', env: { ...process.env, NODE_OPTIONS: '' } },
  );
  t.equal(stdout, 'false\n', stderr);
});
