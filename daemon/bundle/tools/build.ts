// Makes out/bundle: the program as five files, for the main thread (its start, and the rest), for reactors, for the opener
// and for the fetcher. All but the opener get code caches. Most tests run the modules themselves and need no bundle.
// Does nothing if the bundle is already made of what is there now.

import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ID_LENGTH, bundleOf, bundleText, THREAD_ENTRIES, THREAD_FOLDERS } from '../compile.js';
import { restEntryOf } from '../rest.js';
import { checkAddonAge } from './addon-age.js';
import { bundle, bundleProgram, type Bundled } from './bundle.js';
import { digestOfInputs, stampOf, writeStamp } from './inputs.js';
import { licensesOf } from './licenses.js';
import { recordFetcher } from './record-fetcher.js';
import { recordRest } from './record-rest.js';
import { recordStart } from './record-start.js';
import { splitProgram } from './split.js';

const MODULES = fileURLToPath(new URL('../..', import.meta.url));
const BUNDLE = fileURLToPath(new URL('../../../bundle', import.meta.url));
const PACKAGES = fileURLToPath(new URL('../../../../node_modules', import.meta.url));
const NATIVE = fileURLToPath(new URL('../../../../native', import.meta.url));
const ADDON = join(NATIVE, 'build/Release/overlaybd_nbd.node');
const MAIN = 'main';
/** What a start runs. The opener has no cache: it opens large images, and the time to compile it is nothing there. */
const STARTED: readonly string[] = [MAIN, 'reactor/worker'];
const FETCHER = 'fetch/worker';

/** Relative to the working directory. */
const bundledFiles = new Set<string>();
const inputs = digestOfInputs(MODULES, join(PACKAGES, '.package-lock.json'));
if (stampOf(BUNDLE) !== inputs) {
  checkAddonAge(ADDON, NATIVE);
  await makeBundle();
  writeStamp(BUNDLE, inputs);
}

async function makeBundle(): Promise<void> {
  rmSync(BUNDLE, { recursive: true, force: true });
  for (const folder of THREAD_FOLDERS) mkdirSync(join(BUNDLE, folder), { recursive: true });
  writeFileSync(join(BUNDLE, 'package.json'), '{ "type": "commonjs" }\n');
  const { text: start } = await bundle({ entryPoints: [join(MODULES, 'bundle/start.js')] });
  await writeMain(start);
  for (const name of THREAD_ENTRIES) await writeProgram(name, start);
  writeFileSync(join(BUNDLE, 'LICENSES.txt'), licensesOf(bundledFiles, process.cwd()));
  await recordStart(STARTED.map((name) => join(BUNDLE, `${name}.js`)));
  recordRest(join(BUNDLE, `${MAIN}.js`));
  await recordFetcher(join(BUNDLE, `${FETCHER}.js`));
}

async function writeProgram(name: string, start: string): Promise<void> {
  const entry = writeEntry(name, start);
  writeBundle(entry, await bundleProgram({ entryPoints: [join(MODULES, `${name}.js`)] }));
}

async function writeMain(start: string): Promise<void> {
  const entry = writeEntry(MAIN, start);
  const split = await splitProgram(`${MAIN}.js`, MODULES, (text) => idOf(codeOf(text)));
  writeBundle(entry, split.start);
  writeBundle(restEntryOf(entry), split.rest);
}

function writeEntry(name: string, start: string): string {
  const entry = join(BUNDLE, `${name}.js`);
  writeFileSync(entry, start);
  chmodSync(entry, 0o755);
  return entry;
}

function writeBundle(entry: string, { text, files }: Bundled): void {
  for (const file of files) bundledFiles.add(relative(process.cwd(), file));
  const code = codeOf(text);
  writeFileSync(bundleOf(entry).text, bundleText(code, idOf(code)));
}

function codeOf(text: string): string {
  return text.replace(/^#!.*\n/, '');
}

function idOf(code: string): string {
  return createHash('sha256').update(code).digest('hex').slice(0, ID_LENGTH);
}
