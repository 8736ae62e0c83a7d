// What is done with the files of a mounted image. Each work is a program of the system, and its output is compared.
import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { runTool } from '../../support/tools.js';

export type FileWorkName = 'cat' | 'walk' | 'read';

export interface FileWork {
  readonly name: FileWorkName;
  readonly title: string;
  /** A shell command that works in the mount's folder. Two right runs print the same. */
  readonly command: string;
}

/** What is in the image. */
export interface Tree {
  readonly files: number;
  /** Bytes. */
  readonly size: number;
  /** The file of the work `cat`, and its bytes. */
  readonly one: { readonly path: string; readonly size: number };
}

const MIB = 1 << 20;
/** A work that takes longer is ended: a rival that needs minutes would not leave time for the others. */
const WORK_SECONDS = 75;
/** What timeout(1) exits with then. */
const ENDED = 124;

/** Looks at a mount. The file is the first one of 1 to 2 MiB, or the longest. */
export function lookAtTree(mount: string): Tree {
  const paths = readdirSync(mount, { recursive: true, encoding: 'utf8' }).toSorted();
  const files = paths.flatMap((path) => {
    const info = lstatSync(join(mount, path));
    return info.isFile() ? [{ path, size: info.size }] : [];
  });
  const longest = files.toSorted((a, b) => b.size - a.size)[0];
  const one = files.find(({ size }) => size >= MIB && size < 2 * MIB) ?? longest;
  if (!one) throw new Error(`${mount}: no files`);
  return { files: files.length, size: files.reduce((sum, { size }) => sum + size, 0), one };
}

export function fileWorks({ files, size, one }: Tree): FileWork[] {
  return [
    {
      name: 'cat',
      title: `cat one file of ${(one.size / MIB).toFixed(1)} MiB`,
      command: `cat '${one.path}' | sha256sum`,
    },
    {
      name: 'walk',
      title: `walk the tree, ${files} files`,
      command: `find . -printf '%p %s %m\\n' | sha256sum`,
    },
    {
      name: 'read',
      title: `read all files, ${(size / MIB).toFixed(0)} MiB`,
      command: 'find . -type f -print0 | xargs -0 cat | wc -c',
    },
  ];
}

/** @returns what it printed; null if it was ended because it took too long. @throws Error if it fails */
export async function doWork({ command }: FileWork, mount: string): Promise<string | null> {
  const args = [`${WORK_SECONDS}`, 'bash', '-o', 'pipefail', '-c', command];
  const { code, stdout, stderr } = await runTool('timeout', args, { cwd: mount });
  if (code === ENDED) return null;
  if (code !== 0) throw new Error(`${command}: exit ${code}: ${stderr}`);
  return stdout;
}
