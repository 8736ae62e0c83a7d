// The program that tests and benchmarks run as overlaybd-nbd: the bundle, as users run it. If coverage is measured, it
// is the modules of the bundle, because V8 cannot distinguish them inside it.
import { fileURLToPath } from 'node:url';

export const measured = process.env['_TAPJS_PROCESSINFO_COVERAGE_'] === '1';

export const PROGRAM = fileURLToPath(
  new URL(measured ? '../../daemon/main.js' : '../../bundle/main.js', import.meta.url),
);

/**
 * The words that run it, before its arguments: this Node and the file, or the lines of
 * `$OVERLAYBD_TEST_PROGRAM`, by which another architecture is tested.
 */
export const PROGRAM_LINE: readonly string[] = process.env['OVERLAYBD_TEST_PROGRAM']?.split(
  '\n',
) ?? [process.execPath, PROGRAM];
