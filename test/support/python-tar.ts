// The entries of an archive as Python's tarfile reads them: all forms of tars, by a reader that is not ours.
import type { EntryDraft } from '../../daemon/tree/builder.js';
import type { DataRange } from '../../daemon/tree/layer-tree.js';
import { runTool } from './tools.js';

const PROGRAM = String.raw`
import base64, json, sys, tarfile
kinds = {tarfile.REGTYPE: 'reg', tarfile.AREGTYPE: 'reg', tarfile.CONTTYPE: 'reg', tarfile.GNUTYPE_SPARSE: 'reg',
         tarfile.DIRTYPE: 'dir', tarfile.SYMTYPE: 'symlink', tarfile.LNKTYPE: 'hardlink', tarfile.CHRTYPE: 'char',
         tarfile.BLKTYPE: 'block', tarfile.FIFOTYPE: 'fifo'}
def raw(text):
    return base64.b64encode(text.encode('utf-8', 'surrogateescape')).decode()
def seconds(member):
    text = member.pax_headers.get('mtime')
    if text is None:
        return int(member.mtime), 0
    whole, _, fraction = text.partition('.')
    ns = int((fraction + '000000000')[:9])
    value = int(whole)
    if whole.startswith('-') and ns > 0:
        return value - 1, 10**9 - ns
    return value, ns
with tarfile.open(sys.argv[1], errors='surrogateescape', encoding='utf-8') as tar:
    for member in tar:
        size = member.size
        data = []
        if kinds.get(member.type) == 'reg':
            at = member.offset_data
            for begin, length in (member.sparse or [(0, size)]):
                data.append([begin, length, at])
                at += length
        xattrs = {raw(key[13:]): raw(value) for key, value in member.pax_headers.items()
                  if key.startswith('SCHILY.xattr.')}
        mtime, ns = seconds(member)
        print(json.dumps({'path': raw(member.name), 'type': kinds.get(member.type), 'mode': member.mode,
                          'uid': member.uid, 'gid': member.gid, 'mtime': mtime, 'mtimeNs': ns, 'size': size,
                          'target': raw(member.linkname), 'rdev': [member.devmajor, member.devminor],
                          'xattrs': xattrs, 'data': data, 'position': member.offset}))
`;

interface Line {
  path: string;
  type: EntryDraft['type'] | null;
  mode: number;
  uid: number;
  gid: number;
  mtime: number;
  mtimeNs: number;
  size: number;
  target: string;
  rdev: [number, number];
  xattrs: Record<string, string>;
  data: [number, number, number][];
  position: number;
}

/**
 * @param path of an archive that is not compressed
 * @returns null if Python refuses it
 */
export async function readWithPython(path: string): Promise<EntryDraft[] | null> {
  const { code, stdout } = await runTool('python3', ['-c', PROGRAM, path]);
  if (code !== 0) return null;
  const lines = stdout.split('\n').filter((line) => line !== '');
  return lines.map((line) => draftOf(JSON.parse(line) as Line));
}

function draftOf(line: Line): EntryDraft {
  const { type, rdev, data } = line;
  if (type === null) throw new Error(`an entry of unknown type at ${line.position}`);
  const [major, minor] = rdev;
  const xattrs = Object.entries(line.xattrs).map(
    ([name, value]) => [bytesOf(name), Buffer.from(value, 'base64')] as const,
  );
  return {
    ...line,
    type,
    path: bytesOf(line.path),
    target: bytesOf(line.target),
    rdev: { major, minor },
    xattrs: new Map(xattrs),
    data: data.map(([fileOffset, length, offset]): DataRange => {
      return { fileOffset, length, source: 0, offset };
    }),
  };
}

const bytesOf = (base64: string): string => Buffer.from(base64, 'base64').toString('latin1');
