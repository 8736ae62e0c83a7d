// Parses /proc/self/mountinfo (proc_pid_mountinfo(5)) and finds mounts in it. Reads no file.

/** One mount. Names are unescaped. */
export interface MountEntry {
  readonly id: number;
  readonly parent: number;
  /** Major and minor number, "43:0". The major number is 0 for btrfs, and if there is no device. */
  readonly device: string;
  readonly mountPoint: string;
  readonly type: string;
  /** The source that mount(2) got. A FUSE program can choose any text. */
  readonly source: string;
  /** Mounts and unmounts propagate between mounts of a peer group (mount_namespaces(7)). */
  readonly peerGroup: number | null;
  /** Whether it is the slave of a peer group, which is usually in another mount namespace. */
  readonly isSlave: boolean;
}

/** Major number of /dev/nbdX (the kernel's list of devices). */
const NBD_MAJOR = '43';

/** Leaves out lines that it cannot parse: none of our mounts has such a line. */
export function parseMountinfo(text: string): MountEntry[] {
  return text.split('\n').flatMap((line) => parseLine(line) ?? []);
}

function parseLine(line: string): MountEntry | null {
  const fields = line.split(' ');
  // Six fields, then any number of optional ones, then a dash.
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

/** The kernel writes a space, tab, line feed, backslash or "#" as a backslash and three octal digits. */
function unescape(text: string): string {
  return text.replace(/\\([0-3][0-7]{2})/g, (_, octal: string) => {
    return String.fromCharCode(Number.parseInt(octal, 8));
  });
}

/** The topmost mount at `path`, which must be absolute and without symbolic links. */
export function mountAt(entries: readonly MountEntry[], path: string): MountEntry | null {
  const here = entries.filter(({ mountPoint }) => mountPoint === path);
  // A mount on top of another one has that as its parent.
  const top = here.filter(
    ({ id }) => !here.some((other) => other.parent === id && other.id !== id),
  );
  return top.at(-1) ?? null;
}

/** The mounted /dev/nbdX, or null. Checks the device number too: a FUSE program can choose any source. */
export function nbdDeviceOf({ device, type, source }: MountEntry): string | null {
  if (!/^\/dev\/nbd\d+$/.test(source)) return null;
  const [major] = device.split(':');
  return major === NBD_MAJOR || (major === '0' && type === 'btrfs') ? source : null;
}
