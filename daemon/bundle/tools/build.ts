// Makes out/bundle: the program as four files, for the main thread, for reactors, for the opener and for the
// fetcher. All but the opener get code caches. Most tests run the modules themselves and need no bundle. Does
// nothing if the bundle is already made of what is there now.

import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type BuildOptions } from 'esbuild';
import { bundleOf, bundleText, THREAD_ENTRIES, THREAD_FOLDERS } from '../compile.js';
import { digestOfInputs } from './inputs.js';
import { licensesOf } from './licenses.js';
import { recordFetcher } from './record-fetcher.js';
import { recordStart } from './record-start.js';
import { replacedPackages } from './replaced-packages.js';

const MODULES = fileURLToPath(new URL('../..', import.meta.url));
const BUNDLE = fileURLToPath(new URL('../../../bundle', import.meta.url));
const PACKAGES = fileURLToPath(new URL('../../../../node_modules', import.meta.url));
const STAMP = join(BUNDLE, '.inputs');
/** What a start runs. The opener has no cache: it opens large images, and the time to compile it is nothing there. */
const STARTED: readonly string[] = ['main', 'reactor/worker'];
const FETCHER = 'fetch/worker';

const COMMON: BuildOptions = {
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  charset: 'ascii',
  write: false,
  metafile: true,
  logLevel: 'warning',
};

/** As esbuild names them: relative to the working directory. */
const bundledFiles = new Set<string>();
const inputs = digestOfInputs(MODULES, join(PACKAGES, '.package-lock.json'));
if (stampedInputs() !== inputs) {
  await makeBundle();
  writeFileSync(STAMP, inputs);
}

function stampedInputs(): string | null {
  try {
    return readFileSync(STAMP, 'utf8');
  } catch {
    return null;
  }
}

async function makeBundle(): Promise<void> {
  rmSync(BUNDLE, { recursive: true, force: true });
  for (const folder of THREAD_FOLDERS) mkdirSync(join(BUNDLE, folder), { recursive: true });
  writeFileSync(join(BUNDLE, 'package.json'), '{ "type": "commonjs" }\n');
  const start = await bundled({ entryPoints: [join(MODULES, 'bundle/start.js')] });
  for (const name of ['main', ...THREAD_ENTRIES]) await writeProgram(name, start);
  writeFileSync(join(BUNDLE, 'LICENSES.txt'), licensesOf(bundledFiles, process.cwd()));
  await recordStart(STARTED.map((name) => join(BUNDLE, `${name}.js`)));
  await recordFetcher(join(BUNDLE, `${FETCHER}.js`));
}

async function bundled(options: BuildOptions): Promise<string> {
  const { outputFiles = [], metafile } = await build({ ...COMMON, ...options });
  for (const file of Object.keys(metafile?.inputs ?? {})) bundledFiles.add(file);
  if (outputFiles.length !== 1) throw new Error(`esbuild made ${outputFiles.length} files, not 1`);
  return outputFiles[0]?.text ?? '';
}

async function writeProgram(name: string, start: string): Promise<void> {
  const entry = join(BUNDLE, `${name}.js`);
  writeFileSync(entry, start);
  chmodSync(entry, 0o755);
  const text = await bundled({
    entryPoints: [join(MODULES, `${name}.js`)],
    // These addons are files of their own, and are loaded only where the system lacks the libraries.
    external: ['lz4-napi', 'zstd-napi'],
    // The environment must not choose the native code of an installed program.
    define: { 'import.meta.url': 'moduleUrl', 'process.env.OVERLAYBD_NBD_ADDON': 'undefined' },
    plugins: [replacedPackages],
  });
  const code = text.replace(/^#!.*\n/, '');
  const digest = createHash('sha256').update(code).digest('hex');
  writeFileSync(bundleOf(entry).text, bundleText(code, digest));
}
