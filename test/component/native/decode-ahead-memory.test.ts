// The memory of announced reads that cannot become an array: it stays closed, and can be asked for again. In a process of its
// own, with a copy of the addon that gets no arrays.
import { test } from 'tap';
import { runRefused } from '../../support/refusing-addon.js';
import { requireTool } from '../../support/tools.js';

const MODULE = new URL('../../../daemon/native/decode-ahead.js', import.meta.url).href;

await test('memory that is refused is not open', { timeout: 120_000 }, async (t) => {
  if (!requireTool(t, 'cc')) return;
  const program = `
    import { decodeAhead } from '${MODULE}';
    for (const call of ['open', 'open', 'begin']) {
      try {
        decodeAhead[call]();
        console.log(call);
      } catch ({ message }) {
        console.log(/open/.test(message) ? message : 'refused');
      }
    }`;
  const { stdout, stderr } = runRefused(t.testdir(), program);
  t.equal(stdout, 'refused\nrefused\nahead: not open\n', stderr);
});
