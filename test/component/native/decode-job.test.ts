// A decoded piece that cannot become an array: the promise of its job is rejected. In a process of its own, with a copy of the
// addon that gets no arrays.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { CODEC_LZ4, codecs } from '../../../daemon/native/block-decoder.js';
import { encodeBlock } from '../../support/encode-block.js';
import { textBytes } from '../../support/pattern.js';
import { runRefused } from '../../support/refusing-addon.js';
import { requireTool } from '../../support/tools.js';

const SIZE = 4096;
const MODULE = new URL('../../../daemon/native/block-decoder.js', import.meta.url).href;

await test('a result that is refused rejects the promise', { timeout: 120_000 }, async (t) => {
  if (codecs.version(CODEC_LZ4) === '' || !requireTool(t, 'cc')) return;
  const folder = t.testdir();
  const piece = join(folder, 'piece');
  writeFileSync(piece, encodeBlock('lz4', textBytes(1, SIZE)));
  const program = `
    import { readFileSync } from 'node:fs';
    import { CODEC_LZ4, codecs } from '${MODULE}';
    const job = codecs.decodeElsewhere(CODEC_LZ4, readFileSync('${piece}'), ${SIZE}, 0);
    console.log(await job.then(() => 'decoded', ({ message }) => message));`;
  const { stdout, stderr } = runRefused(folder, program);
  t.equal(stdout, 'no memory for a decoded piece\n', stderr);
});
