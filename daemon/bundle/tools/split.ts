// Splits a program into two bundles: its start, and the rest, which most runs do not need and the first dynamic import of one
// of its modules loads (rest.ts). The start offers the rest those of its modules that the rest uses.

import { relative, resolve } from 'node:path';
import { build, type Plugin } from 'esbuild';
import { bundleProgram, type Bundled } from './bundle.js';

/** What dynamic imports load from the rest: commands but `serve`, and what only some images need. The daemon's own parts stay. */
const REST =
  /^(?:cli\/(?!serve\.js$|options\/)|(?:composefs|erofs|files|image|inspect|pieces|registry|tree)\/)/;

interface SplitProgram {
  readonly start: Bundled;
  readonly rest: Bundled;
}

/**
 * @param entry the path of the program below `modules`
 * @param modules the folder of the modules
 * @param idOf the digest of a bundle with this text
 */
export async function splitProgram(
  entry: string,
  modules: string,
  idOf: (text: string) => string,
): Promise<SplitProgram> {
  const found = new Set<string>();
  const { files } = await bundleProgram({
    entryPoints: [resolve(modules, entry)],
    plugins: [leaveOut(modules, found)],
  });
  const rest = await bundleProgram({
    stdin: { contents: offerOf([...found].toSorted()), resolveDir: modules },
    plugins: [takeFrom(modules, files)],
  });
  const contents = `import "table:all"; import "./${entry}";`;
  const start = await bundleProgram({
    stdin: { contents, resolveDir: modules },
    plugins: [leaveOut(modules, found), tables(modules, usedOf(rest.text), idOf(rest.text))],
  });
  return { start, rest };
}

/** Has each dynamic import of the rest go through the link. @param found gets the paths of the modules */
function leaveOut(modules: string, found: Set<string>): Plugin {
  return {
    name: 'leave the rest out',
    setup(setup) {
      setup.onResolve({ filter: /^\.\.?\// }, ({ path, kind, resolveDir }) => {
        const target = relative(modules, resolve(resolveDir, path));
        if (kind !== 'dynamic-import' || !REST.test(target)) return undefined;
        found.add(target);
        return { path: target, namespace: 'rest' };
      });
      setup.onLoad({ filter: /./, namespace: 'rest' }, ({ path }) => {
        return { contents: `module.exports = link.load(${JSON.stringify(path)});` };
      });
    },
  };
}

function offerOf(paths: readonly string[]): string {
  const members = paths.map((path) => `${JSON.stringify(path)}: () => require("./${path}"),`);
  return `link.offer({ ${members.join('\n')} });`;
}

const RESOLVED = Symbol('resolved');

/** Has modules that are in the start come from there. @param files of the start */
function takeFrom(modules: string, files: ReadonlySet<string>): Plugin {
  return {
    name: 'take from the start',
    setup(setup) {
      setup.onResolve({ filter: /./ }, async ({ path, pluginData, ...rest }) => {
        if (pluginData === RESOLVED || rest.kind === 'entry-point') return undefined;
        const found = await setup.resolve(path, { ...rest, pluginData: RESOLVED });
        const isModule = found.path.startsWith(modules) || found.path.endsWith('.mjs');
        if (found.external || !isModule || !files.has(found.path)) return undefined;
        return { path: found.path, namespace: 'start', sideEffects: false };
      });
      setup.onLoad({ filter: /./, namespace: 'start' }, async ({ path }) => {
        const key = JSON.stringify(relative(modules, path));
        const lines = (await exportsOf(path)).map((name, i) => {
          // What is not used is left out of the bundle.
          const value = `const v${i} = /* @__PURE__ */ link.shared(${key}, ${JSON.stringify(name)});`;
          return `${value} export { v${i} as ${name} };`;
        });
        return { contents: lines.join('\n') };
      });
    },
  };
}

async function exportsOf(path: string): Promise<string[]> {
  const options = { bundle: false, write: false, metafile: true, format: 'esm' } as const;
  const { metafile } = await build({
    ...options,
    entryPoints: [path],
    outdir: '/',
    logLevel: 'silent',
  });
  return Object.values(metafile.outputs).flatMap((output) => output.exports);
}

type Used = ReadonlyMap<string, ReadonlySet<string>>;

/** The names that the rest takes, by the module of the start. */
function usedOf(rest: string): Used {
  const used = new Map<string, Set<string>>();
  for (const [, path = '', name = ''] of rest.matchAll(/link\.shared\("([^"]+)", "([^"]+)"\)/g)) {
    const names = used.get(path) ?? new Set();
    used.set(path, names.add(name));
  }
  return used;
}

/** The modules `table:all`, which offers the others to the rest, and `table:PATH`, which has what is used of one. */
function tables(modules: string, used: Used, restId: string): Plugin {
  return {
    name: 'tables for the rest',
    setup(setup) {
      setup.onResolve({ filter: /^table:/ }, ({ path }) => {
        return { path: path.slice('table:'.length), namespace: 'table' };
      });
      setup.onLoad({ filter: /^all$/, namespace: 'table' }, () => {
        const members = [...used.keys()].map((path) => {
          return `${JSON.stringify(path)}: () => require(${JSON.stringify(`table:${path}`)}).all(),`;
        });
        return { contents: `link.provide("${restId}", { ${members.join('\n')} });` };
      });
      setup.onLoad({ filter: /./, namespace: 'table' }, ({ path }) => {
        const names = [...(used.get(path) ?? [])];
        const imported = names.map((name, i) => `${name} as v${i}`).join(', ');
        const values = names.map((name, i) => `${JSON.stringify(name)}: v${i}`).join(', ');
        const file = JSON.stringify(resolve(modules, path));
        return {
          contents: `import { ${imported} } from ${file};\nexport const all = () => ({ ${values} });`,
          resolveDir: modules,
        };
      });
    },
  };
}
