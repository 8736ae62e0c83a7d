// tap as one module for the test files that the runner starts. Node.js finds and loads tap's 300 modules in 0.08 s of
// CPU time, which is more than most test files take for everything else.

import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';

/** Not as Node.js finds it from here, which is the package that this file makes. */
const TAP = fileURLToPath(new URL('../../../node_modules/tap/dist/esm/index.js', import.meta.url));
const DOMAINS = fileURLToPath(new URL('./error-domain.js', import.meta.url));
/** tap leaves the modules of packages in this scope out of stack traces. */
const NAME = '@tapjs/one-module';
const CONDITION = 'one-module';
const SHARED_CONDITION = 'shared-tap';
/** With these, Node.js takes the module. Without, also later and from the same folder, tap itself. */
export const ONE_MODULE: readonly string[] = [`--conditions=${CONDITION}`];
/** With these, tap's functions are those of the root test in `globalThis[ROOT]`, which changes from file to file. */
export const SHARED_TAP: readonly string[] = [`--conditions=${SHARED_CONDITION}`];
/** The name of the symbol. */
export const ROOT = 'overlaybd-nbd.test.root';

/** The modules of tap that are not ES modules call it. */
const REQUIRE =
  "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);";

/** Gives tap our own class for uncaught errors. */
const CHEAP_DOMAINS: Plugin = {
  name: 'cheap domains',
  setup: (hooks) => {
    hooks.onResolve({ filter: /^async-hook-domain$/ }, () => ({ path: DOMAINS }));
  },
};

/** Contents by name. */
type Files = Readonly<Record<string, string | Uint8Array>>;

/** Makes a package `tap` for all files below `folder`. Takes 0.2 s. */
export async function bundleTap(folder: string): Promise<void> {
  const { outputFiles, metafile } = await build({
    entryPoints: [TAP],
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    minify: true,
    keepNames: true,
    banner: { js: REQUIRE },
    write: false,
    metafile: true,
    plugins: [CHEAP_DOMAINS],
  });
  const [bundle] = outputFiles;
  const [output] = Object.values(metafile.outputs);
  if (!bundle || !output) throw new TypeError('esbuild has made no bundle of tap');
  const packages = join(folder, 'node_modules');
  writePackage(join(packages, NAME), {
    'package.json': JSON.stringify({
      name: NAME,
      type: 'module',
      exports: { '.': './index.js', './shared': './shared.js' },
    }),
    'index.js': bundle.contents,
    'shared.js': sharedTap(output.exports),
  });
  const tap = join(packages, 'tap');
  writePackage(tap, {
    'package.json': JSON.stringify({
      name: 'tap',
      type: 'module',
      exports: {
        [CONDITION]: './one.js',
        [SHARED_CONDITION]: './shared.js',
        default: './whole.js',
      },
    }),
    'one.js': allOf(NAME),
    'shared.js': allOf(`${NAME}/shared`),
    'whole.js': allOf(relative(tap, TAP)),
  });
}

const allOf = (name: string): string =>
  `export * from '${name}'; export { default } from '${name}';\n`;

/** @param names what tap exports: classes, and functions of its root test */
function sharedTap(names: readonly string[]): string {
  const classes = names.filter((name) => /^[A-Z]/.test(name));
  const functions = names.filter(
    (name) => !/^[A-Z]/.test(name) && name !== 'default' && name !== 't',
  );
  return [
    `export { ${classes.join(', ')} } from '${NAME}';`,
    `const root = () => globalThis[Symbol.for('${ROOT}')];`,
    'const get = (_, name) => {',
    '  const value = root()[name];',
    "  return typeof value === 'function' ? value.bind(root()) : value;",
    '};',
    'const set = (_, name, value) => Reflect.set(root(), name, value);',
    'export const t = new Proxy({}, { get, set });',
    'export default t;',
    ...functions.map((name) => `export const ${name} = (...values) => root().${name}(...values);`),
    '',
  ].join('\n');
}

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
