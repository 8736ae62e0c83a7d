// A decoded piece that cannot become an array: the promise of its job is rejected. In a process of its own, with a copy of the
// addon that calls a function of ours in place of Node's.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { addonPath } from '../../../daemon/native/addon-file.js';
import { CODEC_LZ4, codecs } from '../../../daemon/native/block-decoder.js';
import { encodeBlock } from '../../support/encode-block.js';
import { textBytes } from '../../support/pattern.js';
import { requireTool } from '../../support/tools.js';

const CALLED = 'napi_create_external_arraybuffer';
/** As long as the other. */
const OURS = 'test_refuse_external_arraybuffer';
/** napi_no_external_buffers_allowed */
const REFUSED = 22;
const SIZE = 4096;
const MODULE = new URL('../../../daemon/native/block-decoder.js', import.meta.url).href;

await test('a result that is refused rejects the promise', { timeout: 120_000 }, async (t) => {
  if (codecs.version(CODEC_LZ4) === '' || !requireTool(t, 'cc')) return;
  const folder = t.testdir();
  const [addon, source, library, piece] = ['addon.node', 'refuse.c', 'refuse.so', 'piece'].map(
    (name) => join(folder, name),
  ) as [string, string, string, string];
  const bytes = readFileSync(addonPath());
  const at = bytes.indexOf(`${CALLED}\0`);
  t.ok(at > 0, 'the addon calls it by this name');
  bytes.write(OURS, at, 'latin1');
  writeFileSync(addon, bytes);
  writeFileSync(source, `int ${OURS}(void) { return ${REFUSED}; }\n`);
  t.equal(spawnSync('cc', ['-shared', '-fPIC', '-o', library, source]).status, 0);
  writeFileSync(piece, encodeBlock('lz4', textBytes(1, SIZE)));
  const program = `
    import { readFileSync } from 'node:fs';
    import { CODEC_LZ4, codecs } from '${MODULE}';
    const job = codecs.decodeElsewhere(CODEC_LZ4, readFileSync('${piece}'), ${SIZE}, 0);
    console.log(await job.then(() => 'decoded', ({ message }) => message));`;
  // The runtime of a sanitizer must stay the first.
  const preload = [process.env['LD_PRELOAD'] ?? '', library].filter((each) => each !== '');
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    encoding: 'utf8',
    env: {
      ...process.env,
      NODE_OPTIONS: '',
      LD_PRELOAD: preload.join(':'),
      OVERLAYBD_NBD_ADDON: addon,
    },
  });
  t.equal(stdout, 'no memory for a decoded piece\n', stderr);
});
