// A copy of the addon whose external array buffers are refused: it calls a function of ours instead of Node's.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { addonPath } from '../../daemon/native/addon-file.js';

const CALLED = 'napi_create_external_arraybuffer';
/** As long as the other. */
const OURS = 'test_refuse_external_arraybuffer';
/** napi_no_external_buffers_allowed */
const REFUSED = 22;

/**
 * Runs a program, as an ECMAScript module, with that addon. Needs the tool `cc`.
 * @param folder for the addon
 */
export function runRefused(folder: string, program: string): { stdout: string; stderr: string } {
  const [addon, source, library] = ['addon.node', 'refuse.c', 'refuse.so'].map((name) =>
    join(folder, name),
  ) as [string, string, string];
  const bytes = readFileSync(addonPath());
  const at = bytes.indexOf(`${CALLED}\0`);
  if (at < 0) throw new Error(`the addon does not call ${CALLED} by this name`);
  bytes.write(OURS, at, 'latin1');
  writeFileSync(addon, bytes);
  writeFileSync(source, `int ${OURS}(void) { return ${REFUSED}; }\n`);
  const compiled = spawnSync('cc', ['-shared', '-fPIC', '-o', library, source], {
    encoding: 'utf8',
  });
  if (compiled.status !== 0) throw new Error(compiled.stderr);
  // The runtime of a sanitizer must stay the first.
  const preload = [process.env['LD_PRELOAD'] ?? '', library].filter((each) => each !== '');
  return spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    encoding: 'utf8',
    env: {
      ...process.env,
      NODE_OPTIONS: '',
      LD_PRELOAD: preload.join(':'),
      OVERLAYBD_NBD_ADDON: addon,
    },
  });
}
