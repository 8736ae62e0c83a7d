// The benchmark's own small programs in C++ (test/bench/programs): built when a run needs them. It runs none.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { messageOf } from '../../daemon/errors.js';

const run = promisify(execFile);

export type ProgramName =
  'nbd-load' | 'nbd-replay' | 'zfile-floor' | 'lookup-floor' | 'burner' | 'cold-files';

const PROJECT = fileURLToPath(new URL('../../../', import.meta.url));
const SESSION = 'test/bench/programs/nbd-session.cc';
const NATIVE = ['codec-library', 'crc32c', 'crc32c-arm', 'crc32c-table', 'crc32c-x86'] as const;

/** What each is linked with. */
const PARTS: Readonly<Record<ProgramName, readonly string[]>> = {
  'nbd-load': [SESSION, '-pthread'],
  'nbd-replay': [SESSION],
  'zfile-floor': [...NATIVE.map((name) => `native/src/${name}.cc`), '-ldl'],
  'lookup-floor': [],
  burner: [],
  'cold-files': [],
};

const COMPILE_MS = 600_000;
const MOST_OUTPUT = 1 << 20;

/** Paths of the built programs. */
export type Programs = Readonly<Record<ProgramName, string>>;

/**
 * @param folder for the programs, which nothing keeps
 * @throws Error with what the compiler said
 */
export async function buildPrograms(folder: string): Promise<Programs> {
  const names = Object.keys(PARTS) as ProgramName[];
  const built = names.map(async (name) => {
    const path = join(folder, name);
    const source = `test/bench/programs/${name}.cc`;
    const words = ['-std=c++17', '-O2', '-Wall', '-Wextra', '-o', path, source, ...PARTS[name]];
    await run('c++', words, { cwd: PROJECT, timeout: COMPILE_MS });
    return [name, path] as const;
  });
  return Object.fromEntries(await Promise.all(built)) as Record<ProgramName, string>;
}

export interface ProgramOptions {
  /** Milliseconds until it is killed: it hangs then. */
  timeout: number;
  /** An exit code that means that this machine lacks something. */
  lacking?: number;
}

/**
 * Runs one of the programs, which prints one line of JSON.
 * @returns null if it exits with `lacking`
 * @throws Error with what the program said, if it fails or hangs
 */
export async function runProgram<T>(
  path: string,
  args: readonly string[],
  { timeout, lacking }: ProgramOptions,
): Promise<T | null> {
  try {
    const options = { timeout, killSignal: 'SIGKILL', maxBuffer: MOST_OUTPUT } as const;
    return JSON.parse((await run(path, args, options)).stdout) as T;
  } catch (error) {
    const { code, killed, stderr } = error as { code?: unknown; killed?: boolean; stderr?: string };
    if (lacking !== undefined && code === lacking) return null;
    const said = (stderr ?? '').trim() || messageOf(error);
    const why = killed ? `no result after ${timeout} ms: a request hangs?` : said;
    throw new Error(`${[path, ...args].join(' ')}: ${why}`, { cause: error });
  }
}
