// The programs that the benchmark needs and their Debian packages; it runs no measurements.
import { spawnSync } from 'node:child_process';

interface Tool {
  name: string;
  package: string;
  /** The arguments that print its version. */
  version: readonly string[];
}

const COMMON: readonly Tool[] = [
  { name: 'mke2fs', package: 'e2fsprogs', version: ['-V'] },
  { name: 'fio', package: 'fio', version: ['--version'] },
  { name: 'nbdkit', package: 'nbdkit', version: ['--version'] },
];

/** For the comparison with other servers. */
export const LOAD_TOOLS: readonly Tool[] = [
  ...COMMON,
  { name: 'c++', package: 'g++', version: ['--version'] },
  { name: 'qemu-nbd', package: 'qemu-utils', version: ['--version'] },
  { name: 'xz', package: 'xz-utils', version: ['--version'] },
];

/** For images of registries. Debian has nbdkit's curl plugin in the package of nbdkit. */
export const REGISTRY_TOOLS: readonly Tool[] = [
  ...COMMON,
  { name: 'nbdfuse', package: 'libnbd-bin', version: ['--version'] },
  { name: 'fusermount3', package: 'fuse3', version: ['--version'] },
  { name: 'losetup', package: 'mount', version: ['--version'] },
  { name: 'curl', package: 'curl', version: ['--version'] },
];

/**
 * Finds every tool, first adding the folders that a user's PATH may lack.
 * @returns what each calls itself
 * @throws Error that names all that are missing and their packages
 */
export function checkTools(tools: readonly Tool[]): Record<string, string> {
  process.env['PATH'] = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`;
  const versions: Record<string, string> = {};
  const missing: Tool[] = [];
  for (const tool of tools) {
    const { status, stdout, stderr } = spawnSync(tool.name, tool.version, { encoding: 'utf8' });
    if (status === 0) versions[tool.name] = (stdout || stderr).trim().split('\n')[0] ?? '';
    else missing.push(tool);
  }
  if (missing.length > 0) {
    throw new Error(
      `not installed: ${missing.map(({ name }) => name).join(', ')}; ` +
        `on Debian: apt-get install ${missing.map((tool) => tool.package).join(' ')}`,
    );
  }
  if (spawnSync('fio', ['--enghelp=nbd'], { encoding: 'utf8' }).status !== 0) {
    throw new Error("fio: no ioengine 'nbd'; Debian's fio has it since version 3.12 (bullseye)");
  }
  return versions;
}
