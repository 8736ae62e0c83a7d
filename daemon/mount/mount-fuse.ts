// `mount --fuse`: nbdfuse shows the device as a file, and another FUSE program mounts the file system in
// that file. Needs neither root nor the nbd module.

import { OverlaybdError } from '../errors.js';
import { explainFuse } from './explain.js';
import { detectFilesystem, type ReadAt } from './filesystem.js';
import { diskFolderOf, endWithUser, startDisk, type FuseTools } from './fuse-disk.js';
import { filesystemProgram, fusermountProgram } from './fuse-programs.js';
import { checkGoingOn } from './mount-device.js';
import { mountAt } from './mountinfo.js';
import type { RunResult } from './programs.js';
import { undoIfFails } from './undo.js';

export interface MountFuseTools extends FuseTools {
  readonly read: (path: string) => ReadAt;
  readonly isRoot: boolean;
}

export interface FuseMount {
  /** The image, for messages. */
  readonly name: string;
  /** What nbdfuse connects to: a URI, or `--command` and a command line. */
  readonly server: readonly string[];
  /** Absolute path. */
  readonly dir: string;
  /** Those of `userOptions` and `fuseOptions`. */
  readonly options: readonly string[];
}

/**
 * Mounts the image. The programs that this starts run until `umount`.
 * @returns the path of the file in which nbdfuse shows the disk: the source of the mount
 * @throws OverlaybdError UNSUPPORTED, IO. If something could not be undone, the message says what
 */
export function mountFuse(mount: FuseMount, tools: MountFuseTools): Promise<string> {
  const { name, server, dir, options } = mount;
  const { programs, mounts, read, signal, isRoot } = tools;
  return undoIfFails(async (undo) => {
    const file = await startDisk(server, tools, undo);
    const { type } = await detectFilesystem(name, read(file));
    const program = await filesystemProgram(name, type, programs, isRoot);
    checkGoingOn(signal);
    // `umount` finds the file, and thus nbdfuse, by the fsname.
    const run = (newer: readonly string[]): Promise<RunResult> => {
      const all = [...program.options, ...newer, `fsname=${file}`, ...options].join(',');
      return programs.run(program.path, ['-o', all, file, dir]);
    };
    const isMountedThere = async (): Promise<boolean> => {
      const mounted = mountAt(await mounts(), dir);
      return mounted?.source === file && diskFolderOf(mounted) !== null;
    };
    let result = await run(program.newer);
    let isMounted = await isMountedThere();
    // The exit code is no help: fuse2fs 1.47 exits with 0 if it does not know an option.
    const isOld = !isMounted && /unknown option|invalid option/i.test(result.output);
    if (isOld && program.newer.length > 0) {
      result = await run([]);
      isMounted = await isMountedThere();
    }
    if (isMounted) {
      undo.add(
        () => unmountFuse(dir, tools),
        `${dir} is still mounted; end that with: overlaybd-nbd umount ${dir}`,
      );
    }
    if (result.code !== 0 || !isMounted) {
      const facts = `${name} (${type}) cannot be mounted at ${dir}`;
      throw new OverlaybdError('MOUNT', `${program.path}: ${facts}: ${explainFuse(result)}`);
    }
    checkGoingOn(signal);
    // Any program may unmount the file system; nbdfuse would wait for ever for another one that opens its file.
    await endWithUser(file, programs);
    return file;
  });
}

async function unmountFuse(dir: string, { programs }: Pick<FuseTools, 'programs'>): Promise<void> {
  const result = await programs.run(await fusermountProgram(programs), ['-u', dir]);
  if (result.code !== 0) throw new OverlaybdError('MOUNT', result.output);
}
