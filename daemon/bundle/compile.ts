// Turns the files of one bundled program into a function: from V8's code cache, or from its text. Node.js 20
// has no compile cache of its own. With this one the daemon serves after half the time.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Script } from 'node:vm';
import { checkedCodeCache } from './code-cache.js';
import type { Worker, WorkerOptions } from 'node:worker_threads';

/** @param entry one of {@link THREAD_ENTRIES} */
export type StartThread = (entry: URL, options: WorkerOptions) => Worker;

/** Modules by their paths: each returns what is taken of it. */
export type Modules = Readonly<Record<string, () => object>>;

/** Between the start of a program and its rest (rest.ts). Calls to it are made by tools/split.ts. */
export interface Link {
  /** Of the start. @param id the digest of the rest that belongs to it. @param modules that the rest uses */
  provide(id: string, modules: Modules): void;
  /** Of the start: a module of the rest. @throws Error if the file of the rest is not that of this program */
  load(path: string): object;
  /** Of the rest: the modules that the start uses. */
  offer(modules: Modules): void;
  /** Of the rest: an export of a module of the start. */
  shared(path: string, name: string): unknown;
}

/**
 * The bundles are CommonJS; `moduleUrl` is what `import.meta.url` became. `startBundledThread` is for
 * lib/thread.ts; threads start no threads, and are not split.
 */
type Program = (
  require: NodeJS.Require,
  moduleUrl: string,
  startBundledThread: StartThread | undefined,
  link: Link | undefined,
) => void;

/** The files of a bundled program, in memory. */
export interface ProgramFiles {
  /** The path of the file that Node.js runs; the other files are beside it. */
  readonly entry: string;
  /** A string, or bytes that are one in latin1. */
  readonly text: string | Uint8Array;
  /** What V8 takes: it has been checked. */
  readonly cache: Uint8Array | null;
}

export interface CompiledProgram {
  readonly id: string;
  readonly script: Script;
  run(startBundledThread?: StartThread, link?: Link): void;
}

/** The entries of threads without `.js`, in daemon/ as in out/bundle. */
export const THREAD_ENTRIES = ['reactor/worker', 'opener/worker', 'fetch/worker'] as const;
/** Their folders. */
export const THREAD_FOLDERS: readonly string[] = THREAD_ENTRIES.map((name) => dirname(name));
/** Hexadecimal digits of a bundle's digest. The cache that is made from the bundle begins with it. */
export const ID_LENGTH = 32;
/** What a bundle begins with; the digest and a line of its own end it. */
const HEAD = '(function (require, moduleUrl, startBundledThread, link) {//';
/** Bytes of a bundle up to the end of its digest. */
export const ID_END = HEAD.length + ID_LENGTH;

/** Files of the program that starts at `entry`. */
export function bundleOf(entry: string): { text: string; cache: string } {
  const stem = entry.replace(/\.js$/, '');
  return { text: `${stem}.bundle`, cache: `${stem}.cache` };
}

/**
 * The text of a bundle: a function, as V8 takes it. A bundle that compileProgram had to put together would
 * be in memory twice.
 * @param id ID_LENGTH digits of the digest of the code
 */
export function bundleText(code: string, id: string): string {
  return `${HEAD}${id}\n${code}\n})`;
}

/** @param entry the file that Node.js runs; the bundle is beside it */
export function readProgram(entry: string): ProgramFiles {
  const { text, cache } = bundleOf(entry);
  // ASCII only: esbuild escapes everything else (tools/build.ts).
  const bundle = readFileSync(text, 'latin1');
  const bytes = readIfThere(cache);
  return { entry, text: bundle, cache: bytes && checkedCodeCache(bytes, bundleIdOf(bundle)) };
}

/** The digest of a bundle. @param text in latin1; its beginning does */
export function bundleIdOf(text: string): string {
  return text.slice(HEAD.length, ID_END);
}

export function compileProgram({ entry, text, cache }: ProgramFiles): CompiledProgram {
  const bundle = typeof text === 'string' ? text : bufferOf(text).toString('latin1');
  const script = new Script(
    bundle,
    cache ? { filename: entry, cachedData: bufferOf(cache) } : { filename: entry },
  );
  return {
    id: bundleIdOf(bundle),
    script,
    run: (startBundledThread, link) => {
      const program = script.runInThisContext() as Program;
      program(createRequire(entry), moduleUrlOf(entry), startBundledThread, link);
    },
  };
}

/** The same memory. */
function bufferOf({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

function readIfThere(path: string): Buffer | null {
  try {
    return readFileSync(path);
  } catch {
    return null;
  }
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
