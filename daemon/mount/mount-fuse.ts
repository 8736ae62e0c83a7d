// `mount --fuse`: nbdfuse shows the device as a file, and a program of FUSE mounts the file system
// in it. Needs neither root nor the nbd module. Serves nothing itself.

import { OverlaybdError } from '../errors.js';
import { explainFuse } from './explain.js';
import { detectFilesystem, type ReadAt } from './filesystem.js';
import { diskFolderOf, startDisk, type FuseTools } from './fuse-disk.js';
import { filesystemProgram, fusermountProgram } from './fuse-programs.js';
import { checkGoingOn } from './mount-device.js';
import { mountAt } from './mountinfo.js';
import type { RunResult } from './programs.js';
import { undoIfFails } from './undo.js';

export interface MountFuseTools extends FuseTools {
  /** Reads a file. */
  readonly read: (path: string) => ReadAt;
  readonly isRoot: boolean;
}

export interface FuseMount {
  /** How messages call the image. */
  readonly name: string;
  /** What nbdfuse reads from: a URI, or `--command` and a command line. */
  readonly server: readonly string[];
  /** Absolute. */
  readonly dir: string;
  /** The user's, checked by `userOptions`, and `fuseOptions`. */
  readonly options: readonly string[];
}

/**
 * What it starts goes on until `umount`.
 * @throws OverlaybdError UNSUPPORTED, IO; nothing is left behind, or the message says what
 */
export function mountFuse(mount: FuseMount, tools: MountFuseTools): Promise<void> {
  const { name, server, dir, options } = mount;
  const { programs, mounts, read, signal, isRoot } = tools;
  return undoIfFails(async (undo) => {
    const file = await startDisk(server, tools, undo);
    const { type } = await detectFilesystem(name, read(file));
    const program = await filesystemProgram(name, type, programs, isRoot);
    checkGoingOn(signal);
    // The name is how `umount` finds the rest.
    const run = (newer: readonly string[]): Promise<RunResult> => {
      const all = [...program.options, ...newer, `fsname=${file}`, ...options].join(',');
      return programs.run(program.path, ['-o', all, file, dir]);
    };
    const look = async (): Promise<boolean> => {
      const mounted = mountAt(await mounts(), dir);
      return mounted?.source === file && diskFolderOf(mounted) !== null;
    };
    let result = await run(program.newer);
    let isMounted = await look();
    // An exit code does not tell: fuse2fs 1.47 has 0 then.
    const isOld = !isMounted && /unknown option|invalid option/i.test(result.output);
    if (isOld && program.newer.length > 0) {
      result = await run([]);
      isMounted = await look();
    }
    if (isMounted) {
      undo.add(
        () => unmountFuse(dir, tools),
        `${dir} is still mounted; end that with: overlaybd-nbd umount ${dir}`,
      );
    }
    if (result.code !== 0 || !isMounted) {
      const facts = `${name} (${type}) cannot be mounted at ${dir}`;
      throw new OverlaybdError('IO', `${program.path}: ${facts}: ${explainFuse(result)}`);
    }
    checkGoingOn(signal);
  });
}

async function unmountFuse(dir: string, { programs }: Pick<FuseTools, 'programs'>): Promise<void> {
  const result = await programs.run(await fusermountProgram(programs), ['-u', dir]);
  if (result.code !== 0) throw new OverlaybdError('IO', result.output);
}
