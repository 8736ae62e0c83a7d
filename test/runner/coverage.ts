// Coverage of the tests, measured and added up by tap: what `tap run` does, with test files that share processes.
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

/** In every process of Node.js, this notes which files are loaded, and writes their coverage when the process ends. */
const RECORDER = 'node_modules/@tapjs/processinfo/dist/esm/import.mjs';
const TAP = 'node_modules/tap/dist/esm/run.mjs';
/** Of the tests. */
const UNCOUNTED = ['out/test/runner/shared-main.js'];
/** Also what runs in virtual machines, where nothing is measured: a test of a part of it loads all of it. */
const UNMEASURED = /[\\/]node_modules[\\/]|[\\/]out[\\/]test[\\/](?:kernel|systemd)[\\/]/;

/**
 * Removes the coverage of the last run.
 * @param root of the project
 * @param files tests, which do not count themselves
 * @returns what to add to the environment of the processes
 */
export function beginCoverage(root: string, files: readonly string[]): Record<string, string> {
  for (const name of ['processinfo', 'coverage'])
    rmSync(join(root, '.tap', name), { recursive: true, force: true });
  const uncounted = [...files, ...UNCOUNTED].map((file) => resolve(root, file));
  const options = process.env['NODE_OPTIONS'] ?? '';
  return {
    NODE_OPTIONS: `${options} --import=${pathToFileURL(join(root, RECORDER)).href}`.trim(),
    _TAPJS_PROCESSINFO_CWD_: root,
    _TAPJS_PROCESSINFO_COVERAGE_: '1',
    _TAPJS_PROCESSINFO_EXCLUDE_: String(/(^(node|tapmock):|[\\/](\.tap|tap-snapshots)[\\/])/),
    _TAPJS_PROCESSINFO_COV_EXCLUDE_: String(UNMEASURED),
    _TAPJS_PROCESSINFO_COV_EXCLUDE_FILES_: uncounted.join('\n'),
  };
}

/** Prints the files that lack coverage. @returns whether there is as much as package.json asks for (`tap`) */
export function reportCoverage(root: string): boolean {
  const { status } = spawnSync(process.execPath, [join(root, TAP), 'report', 'text'], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  return status === 0;
}
