// /proc/self/mountinfo (proc_pid_mountinfo(5)) as values, and questions about them. Reads no file.

/** One mount. Names are as the kernel has them, unescaped. */
export interface MountEntry {
  readonly id: number;
  readonly parent: number;
  /** "43:0"; with major 0 where the file system has no device, and for btrfs. */
  readonly device: string;
  readonly mountPoint: string;
  readonly type: string;
  /** Whatever mount(2) was told: for a file system of FUSE anything at all. */
  readonly source: string;
  /** Mounts of this number, in whatever namespace, are unmounted together (mount_namespaces(7)). */
  readonly peerGroup: number | null;
  /** Whether it follows a mount of another group, which is mostly one of another namespace. */
  readonly isSlave: boolean;
}

/** Major number of /dev/nbdX (the kernel's list of devices). */
const NBD_MAJOR = '43';

/** Lines that are no mounts are left out: what cannot be understood is no mount of ours. */
export function parseMountinfo(text: string): MountEntry[] {
  return text.split('\n').flatMap((line) => parseLine(line) ?? []);
}

function parseLine(line: string): MountEntry | null {
  const fields = line.split(' ');
  // Any number of optional fields end with a dash; the first six are always there.
  const dash = fields.indexOf('-', 6);
  const [id = '', parent = '', device = '', , mountPoint = ''] = fields;
  const [type = '', source] = fields.slice(dash + 1);
  if (dash === -1 || source === undefined || !/^\d+$/.test(id) || !/^\d+$/.test(parent))
    return null;
  if (!/^\d+:\d+$/.test(device) || !mountPoint.startsWith('/')) return null;
  return {
    id: Number(id),
    parent: Number(parent),
    device,
    mountPoint: unescape(mountPoint),
    type: unescape(type),
    source: unescape(source),
    ...propagation(fields.slice(6, dash)),
  };
}

function propagation(optional: readonly string[]): Pick<MountEntry, 'peerGroup' | 'isSlave'> {
  const shared = optional.find((field) => /^shared:\d+$/.test(field));
  return {
    peerGroup: shared === undefined ? null : Number(shared.slice('shared:'.length)),
    isSlave: optional.some((field) => field.startsWith('master:')),
  };
}

/** Space, tab, line feed, backslash and "#" are three octal digits each. */
function unescape(text: string): string {
  return text.replace(/\\([0-3][0-7]{2})/g, (_, octal: string) => {
    return String.fromCharCode(Number.parseInt(octal, 8));
  });
}

/** The mount that is seen at `path`, which must be absolute and without symbolic links. */
export function mountAt(entries: readonly MountEntry[], path: string): MountEntry | null {
  const here = entries.filter(({ mountPoint }) => mountPoint === path);
  // One on top of another has it as its parent.
  const top = here.filter(
    ({ id }) => !here.some((other) => other.parent === id && other.id !== id),
  );
  return top.at(-1) ?? null;
}

/** The /dev/nbdX that is mounted, or null. A name alone does not count: FUSE can say any. */
export function nbdDeviceOf({ device, type, source }: MountEntry): string | null {
  if (!/^\/dev\/nbd\d+$/.test(source)) return null;
  const [major] = device.split(':');
  return major === NBD_MAJOR || (major === '0' && type === 'btrfs') ? source : null;
}
