// Entries of the table of contents: what they become, and what is wrong with them.
import { test } from 'tap';
import { UNBOUNDED } from '../../../daemon/lib/effort.js';
import { rootTable } from '../../../daemon/soci/flatbuffer.js';
import { readToc } from '../../../daemon/soci/toc.js';
import type { LayerTree } from '../../../daemon/tree/layer-tree.js';
import { writeFlat, type FlatValue } from '../../support/flat-writer.js';

interface Entry {
  name: string;
  type?: string;
  offset: number;
  size?: number;
  target?: string;
  mode?: number;
  time?: string;
  major?: number;
  records?: [string, string][];
}

function fieldsOf(entry: Entry): FlatValue[] {
  const {
    name,
    type = 'reg',
    offset,
    size = 0,
    target,
    mode = 0o644,
    time,
    major,
    records,
  } = entry;
  return [
    { bytes: name },
    { bytes: type },
    { i64: offset },
    { i64: size },
    target === undefined ? null : { bytes: target },
    { i64: mode },
    { u32: 1000 },
    { u32: 4_294_967_294 },
    null,
    null,
    time === undefined ? null : { bytes: time },
    major === undefined ? null : { i64: major },
    null,
    records ? { tables: records.map(([key, value]) => [{ bytes: key }, { bytes: value }]) } : null,
  ];
}

function read(entries: Entry[], archiveSize = 100_000): Promise<LayerTree> {
  const bytes = writeFlat([{ tables: entries.map(fieldsOf) }]);
  const vector = rootTable(bytes, 'ztoc', 'ztoc').tables(0);
  return readToc(vector, { blob: 'layer', archiveSize, effort: UNBOUNDED });
}

await test('entries', async (t) => {
  const tree = await read([
    { name: './', type: 'dir', offset: 512, mode: 0o40755, time: '1960-01-01T00:00:00.25Z' },
    {
      name: './d/\xff',
      offset: 1024,
      size: 700,
      records: [
        ['SCHILY.xattr.user.a', '\0\xff'],
        ['mtime', '1.5'],
        ['path', 'x'],
      ],
    },
    { name: 'hard', type: 'hardlink', offset: 2560, target: './d/\xff' },
    { name: 'tty', type: 'char', offset: 3072, major: 5 },
    { name: '.wh.gone', offset: 3584 },
  ]);
  t.match(tree.entry(0), {
    path: '',
    type: 'dir',
    mode: 0o755,
    mtime: -315_619_200,
    mtimeNs: 25e7,
  });
  t.match(tree.entry(1), {
    path: 'd/\xff',
    size: 700,
    uid: 1000,
    gid: 4_294_967_294,
    data: [{ fileOffset: 0, length: 700, source: 0, offset: 1024 }],
  });
  t.same([...(tree.entry(1).xattrs ?? [])], [['user.a', Buffer.from([0, 255])]]);
  t.match(tree.entry(2), { type: 'hardlink', target: 'd/\xff' });
  t.match(tree.entry(3), { type: 'char', rdev: { major: 5, minor: 0 } });
  t.match(tree.entry(4), { path: 'gone', type: 'whiteout' });
});

await test('entries in any order', async (t) => {
  const tree = await read(
    [
      { name: 'b', offset: 5000 * 512, size: 5 },
      { name: 'a', offset: 512, size: 100 },
    ],
    5001 * 512,
  );
  t.equal(tree.count, 2);
});

await test('what is wrong', async (t) => {
  const cases: [entries: Entry[], code: string, message: RegExp][] = [
    [[{ name: 'a', offset: 512, type: 'socket' }], 'UNSUPPORTED', /its type is "socket"/],
    [[{ name: 'a', offset: 512, time: 'now' }], 'BAD_FORMAT', /expected a time, got "now"/],
    [[{ name: 'a', offset: 0 }], 'BAD_FORMAT', /expected a header before its data/],
    [
      [
        { name: 'a', offset: 512, size: 600 },
        { name: 'b', offset: 1536 },
      ],
      'BAD_FORMAT',
      /^layer: entry "b" at byte 1536: expected a header .* up to byte 1112$/,
    ],
    [
      [{ name: 'a', offset: 512, size: 99_489 }],
      'BAD_FORMAT',
      /within the archive of 100000 bytes/,
    ],
    [[{ name: 'a', offset: 2 ** 52 }], 'BAD_FORMAT', /within the archive of 100000 bytes/],
    [[{ name: 'a', offset: 700, size: 1 }], 'UNSUPPORTED', /multiples of 512/],
    [[{ name: 'a', offset: 512, size: -1 }], 'BAD_FORMAT', /size of a file: a whole number/],
    [[{ name: 'a', offset: 512, mode: -1 }], 'BAD_FORMAT', /mode: a whole number/],
    [[{ name: 'a', offset: 512, type: 'char', major: 5000 }], 'LIMIT', /device 5000:0/],
    [[{ name: 'a', offset: 512, type: 'symlink' }], 'BAD_FORMAT', /the target of a symlink/],
    [
      [{ name: 'a', offset: 512, records: [['GNU.sparse.size', '5']] }],
      'UNSUPPORTED',
      /a sparse file: a ztoc does not say/,
    ],
  ];
  for (const [entries, code, message] of cases) {
    await t.rejects(read(entries), { code, message }, message.source);
  }
});
