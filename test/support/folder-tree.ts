// The tree of a mounted folder as the kernel shows it, in the form of treeLines(): by a small program in Python, because
// Node has no xattrs and no byte strings for link targets of any length.
import { runTool } from './tools.js';

const PROGRAM = String.raw`
import base64, hashlib, json, os, stat, sys
kinds = {stat.S_IFREG: 'reg', stat.S_IFDIR: 'dir', stat.S_IFLNK: 'symlink', stat.S_IFCHR: 'char',
         stat.S_IFBLK: 'block', stat.S_IFIFO: 'fifo', stat.S_IFSOCK: 'socket'}
def text(key, value):
    try:
        return {key: value.decode()}
    except UnicodeDecodeError:
        return {key + '_b64': base64.b64encode(value).decode()}
def paths_below(root):
    pending = [b'']
    while pending:
        path = pending.pop()
        yield root, path or b'/'
        full = root + path
        if stat.S_ISDIR(os.lstat(full).st_mode):
            pending += [path + b'/' + name for name in os.listdir(full)]
first = {}
for root, path in (each for word in sys.argv[1:] for each in sorted(paths_below(os.fsencode(word)))):
    full = root + path
    if path == b'/':
        first = {}
    s = os.lstat(full)
    line = text('path', path)
    seconds, nanoseconds = divmod(s.st_mtime_ns, 10**9)
    line.update(type=kinds[stat.S_IFMT(s.st_mode)], mode='%04o' % stat.S_IMODE(s.st_mode), uid=s.st_uid,
                gid=s.st_gid, mtime=seconds, mtime_ns=nanoseconds, nlink=s.st_nlink)
    if line['type'] in ('reg', 'symlink'):
        line['size'] = s.st_size
    if line['type'] in ('char', 'block'):
        line['rdev'] = [os.major(s.st_rdev), os.minor(s.st_rdev)]
    if line['type'] == 'symlink':
        line.update(text('target', os.readlink(full)))
    hidden = ('system.', 'user.') if line['type'] == 'symlink' else ('user.',)
    names = [name for name in os.listxattr(full, follow_symlinks=False)
             if line['type'] in ('reg', 'dir') or not name.startswith(hidden)]
    line['xattrs'] = {name: base64.b64encode(os.getxattr(full, name, follow_symlinks=False)).decode()
                      for name in names}
    if line['type'] == 'reg':
        with open(full, 'rb') as file:
            line['sha256'] = hashlib.file_digest(file, 'sha256').hexdigest()
    if s.st_ino in first and line['type'] != 'dir':
        line.update(text('hardlink_of', first[s.st_ino]))
    first.setdefault(s.st_ino, path)
    print(json.dumps(line))
`;

/**
 * What Linux lists and does not give is left out: user.* of anything but files and directories, access control lists of
 * symlinks.
 * @param folder absolute
 */
export async function folderTree(folder: string): Promise<Record<string, unknown>[]> {
  const [lines = []] = await folderTrees([folder]);
  return lines;
}

/** The same of several folders, with one start of the program. */
export async function folderTrees(
  folders: readonly string[],
): Promise<Record<string, unknown>[][]> {
  const { code, stdout, stderr } = await runTool('python3', ['-c', PROGRAM, ...folders]);
  if (code !== 0) throw new Error(`python3: ${stderr}`);
  const trees: Record<string, unknown>[][] = [];
  for (const text of stdout.trimEnd().split('\n')) {
    const line = JSON.parse(text) as Record<string, unknown>;
    if (line['path'] === '/') trees.push([]);
    trees.at(-1)?.push(line);
  }
  return trees;
}

/** The same lines without what {@link folderTree} cannot find out. */
export function asMounted(lines: readonly Record<string, unknown>[]): Record<string, unknown>[] {
  return lines.map((line) => {
    if (line['type'] === 'reg' || line['type'] === 'dir') return line;
    const xattrs = Object.entries(line['xattrs'] as Record<string, string>);
    const hidden = line['type'] === 'symlink' ? /^(user|system)\./ : /^user\./;
    const kept = xattrs.filter(([name]) => !hidden.test(name));
    return { ...line, xattrs: Object.fromEntries(kept) };
  });
}
