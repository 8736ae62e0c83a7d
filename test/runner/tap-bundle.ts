// tap as one module for the test files that the runner starts. Node.js finds and loads tap's 300 modules in 0.08 s of
// CPU time, which is more than most test files take for everything else.

import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

/** Not as Node.js finds it from here, which is the package that this file makes. */
const TAP = fileURLToPath(new URL('../../../node_modules/tap/dist/esm/index.js', import.meta.url));
/** tap leaves the modules of packages in this scope out of stack traces. */
const NAME = '@tapjs/one-module';
const CONDITION = 'one-module';
/** With these, Node.js takes the module. Without, also later and from the same folder, tap itself. */
export const ONE_MODULE: readonly string[] = [`--conditions=${CONDITION}`];

/** The modules of tap that are not ES modules call it. */
const REQUIRE =
  "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);";

/** Contents by name. */
type Files = Readonly<Record<string, string | Uint8Array>>;

/** Makes a package `tap` for all files below `folder`. Takes 0.2 s. */
export async function bundleTap(folder: string): Promise<void> {
  const { outputFiles } = await build({
    entryPoints: [TAP],
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    minify: true,
    keepNames: true,
    banner: { js: REQUIRE },
    write: false,
  });
  const [bundle] = outputFiles;
  if (!bundle) throw new TypeError('esbuild has made no bundle of tap');
  const packages = join(folder, 'node_modules');
  writePackage(join(packages, NAME), {
    'package.json': JSON.stringify({ name: NAME, type: 'module', exports: './index.js' }),
    'index.js': bundle.contents,
  });
  const tap = join(packages, 'tap');
  writePackage(tap, {
    'package.json': JSON.stringify({
      name: 'tap',
      type: 'module',
      exports: { [CONDITION]: './one.js', default: './whole.js' },
    }),
    'one.js': allOf(NAME),
    'whole.js': allOf(relative(tap, TAP)),
  });
}

const allOf = (name: string): string =>
  `export * from '${name}'; export { default } from '${name}';\n`;

/**
 * Another runner may be at work in the same folder: it makes the same package, and test files that load it must find
 * all of it. So a package that is there already stays.
 */
function writePackage(folder: string, files: Files): void {
  if (isThere(folder, files)) return;
  const made = `${folder}.${process.pid}`;
  mkdirSync(made, { recursive: true });
  for (const [name, content] of Object.entries(files)) writeFileSync(join(made, name), content);
  rmSync(folder, { recursive: true, force: true });
  try {
    renameSync(made, folder);
  } catch (error) {
    rmSync(made, { recursive: true, force: true });
    // Unless the other runner was faster.
    if (!isThere(folder, files)) throw error;
  }
}

function isThere(folder: string, files: Files): boolean {
  return Object.entries(files).every(([name, content]) => {
    const path = join(folder, name);
    return existsSync(path) && readFileSync(path).equals(Buffer.from(content));
  });
}
