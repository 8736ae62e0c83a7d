// Turns one bundled program into a function: from V8's code cache beside it, or from its text. Node.js 20
// has no compile cache of its own. With this one the daemon serves after half the time.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Script } from 'node:vm';
import { readCodeCache } from './code-cache.js';

/** The bundles are CommonJS; `moduleUrl` is what `import.meta.url` became. */
type Program = (require: NodeJS.Require, moduleUrl: string) => void;

export interface CompiledProgram {
  readonly id: string;
  readonly script: Script;
  run(): void;
}

/** Where the entries of threads are, in daemon/ as in out/bundle. */
export const THREAD_FOLDERS: readonly string[] = ['fetch', 'image', 'reactor'];
/** Hexadecimal digits of a bundle's digest. The bundle and the cache made from it begin with it. */
export const ID_LENGTH = 32;

/** Files of the program that starts at `entry`. */
export function bundleOf(entry: string): { text: string; cache: string } {
  const stem = entry.replace(/\.js$/, '');
  return { text: `${stem}.bundle`, cache: `${stem}.cache` };
}

/** @param entry the file that Node.js runs; the bundle is beside it */
export function compileProgram(entry: string): CompiledProgram {
  const { text, cache } = bundleOf(entry);
  // ASCII only: esbuild escapes everything else (tools/build.ts).
  const bundle = readFileSync(text, 'latin1');
  const id = bundle.slice(0, ID_LENGTH);
  const cachedData = readCodeCache(cache, id);
  const script = new Script(
    `(function (require, moduleUrl) {//${bundle}\n})`,
    cachedData ? { filename: entry, cachedData } : { filename: entry },
  );
  return {
    id,
    script,
    run: () => {
      const program = script.runInThisContext() as Program;
      program(createRequire(entry), moduleUrlOf(entry));
    },
  };
}

/**
 * All modules of a bundle have the same URL: one in a folder beside main.js, as every folder of
 * daemon/ is, so that their paths to other files hold.
 */
function moduleUrlOf(entry: string): string {
  const folder = dirname(entry);
  const root = THREAD_FOLDERS.includes(basename(folder)) ? dirname(folder) : folder;
  return pathToFileURL(join(root, 'bundle/all.js')).href;
}
