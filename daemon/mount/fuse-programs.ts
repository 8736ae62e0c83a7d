// The programs that `mount --fuse` needs, their options and their packages. Runs no program.

import { OverlaybdError } from '../errors.js';
import type { Filesystem } from './filesystem.js';
import type { Programs } from './programs.js';

interface FuseProgram {
  /** In order of preference. */
  readonly names: readonly string[];
  readonly install: string;
  readonly options: (isRoot: boolean) => readonly string[];
  /** Options that older versions neither know nor need. */
  readonly newer?: readonly string[];
}

export interface FoundProgram {
  readonly path: string;
  readonly options: readonly string[];
  /** Options to leave out if the program does not know them. */
  readonly newer: readonly string[];
}

const READ_ONLY = (): readonly string[] => ['ro'];

/** The packages are those of Debian. */
const BY_TYPE: Readonly<Partial<Record<Filesystem, FuseProgram>>> = {
  ext4: {
    names: ['fuse2fs'],
    install: 'apt install fuse2fs',
    // fuse2fs checks owners and modes itself, and would deny a user most of an image without fakeroot.
    options: (isRoot) => (isRoot ? ['ro', 'norecovery'] : ['ro', 'norecovery', 'fakeroot']),
    // Newer versions follow the error policy in the superblock, which may say to end the program.
    newer: ['errors=continue'],
  },
  erofs: {
    names: ['erofsfuse'],
    install: 'apt install erofsfuse (Debian 13 and later; on older ones build it from erofs-utils)',
    options: READ_ONLY,
  },
  squashfs: {
    names: ['squashfuse_ll', 'squashfuse'],
    install: 'apt install squashfuse',
    options: READ_ONLY,
  },
};

/**
 * Finds the program for a file system, and the options that it needs.
 * @throws OverlaybdError UNSUPPORTED if there is no such program, IO if it is not installed
 */
export async function filesystemProgram(
  name: string,
  type: Filesystem,
  { find }: Pick<Programs, 'find'>,
  isRoot: boolean,
): Promise<FoundProgram> {
  const program = BY_TYPE[type];
  if (!program) {
    const facts = `it holds ${type}, for which there is no FUSE program`;
    const advice =
      'mount it through the kernel, as root (overlaybd-nbd mount IMAGE DIR), or serve it, and mount it without root in a virtual machine (apt install guestmount; guestmount --ro -a nbd://localhost -m /dev/sda DIR)';
    throw new OverlaybdError('UNSUPPORTED', `${name}: ${facts}: ${advice}`);
  }
  const path = await find(...program.names);
  if (path !== null) {
    return { path, options: program.options(isRoot), newer: program.newer ?? [] };
  }
  throw new OverlaybdError(
    'PROGRAM_MISSING',
    `${program.names.at(-1)}: not found; ${program.install}`,
  );
}

/** Of an error of `mount`: layers of files can be looked into without the program that is missing. */
export function withInsideHint(error: unknown): unknown {
  const isMissing = error instanceof OverlaybdError && error.code === 'PROGRAM_MISSING';
  if (!isMissing || !error.message.startsWith('erofsfuse: ')) return error;
  const message = `${error.message}; or look inside without a mount: overlaybd-nbd ls, cat, cp`;
  return new OverlaybdError(error.code, message, { cause: error, facts: error.facts });
}

/** @throws OverlaybdError IO */
export async function nbdfuseProgram({ find }: Pick<Programs, 'find'>): Promise<string> {
  const path = await find('nbdfuse');
  if (path !== null) return path;
  throw new OverlaybdError('PROGRAM_MISSING', 'nbdfuse: not found; apt install libnbd-bin fuse3');
}

/** @throws OverlaybdError IO */
export async function fusermountProgram({ find }: Pick<Programs, 'find'>): Promise<string> {
  const path = await find('fusermount3', 'fusermount');
  if (path !== null) return path;
  throw new OverlaybdError('PROGRAM_MISSING', 'fusermount3: not found; apt install fuse3');
}
