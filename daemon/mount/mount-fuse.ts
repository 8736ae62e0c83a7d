// `mount --fuse`: nbdfuse shows the device as a file, and a program of FUSE mounts the file system
// in it. Needs neither root nor the nbd module. Serves nothing itself.

import { OverlaybdError } from '../errors.js';
import { explainFuse } from './explain.js';
import { detectFilesystem, type ReadAt } from './filesystem.js';
import { diskFolderOf, startDisk, type FuseTools } from './fuse-disk.js';
import { filesystemProgram, fusermountProgram } from './fuse-programs.js';
import { checkGoingOn } from './mount-device.js';
import { mountAt } from './mountinfo.js';
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
  /** The user's, checked by `userOptions`. */
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
    const type = await detectFilesystem(name, read(file));
    const program = await filesystemProgram(name, type, programs, isRoot);
    checkGoingOn(signal);
    // The name is how `umount` finds the rest.
    const all = [...program.options, `fsname=${file}`, ...options].join(',');
    const result = await programs.run(program.path, ['-o', all, file, dir]);
    const mounted = mountAt(await mounts(), dir);
    const isMounted = mounted?.source === file && diskFolderOf(mounted) !== null;
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
