// From a table of contents to a tree and pieces.
import { test } from 'tap';
import { readToc, type Toc } from '../../../daemon/estargz/toc.js';
import { UNBOUNDED } from '../../../daemon/lib/effort.js';
import { layerOf, mergedLines } from '../../support/trees.js';

const DIGEST = `sha256:${'ab'.repeat(32)}`;

function tocOf(...entries: unknown[]): Promise<Toc> {
  return tocOfText(JSON.stringify({ version: 1, entries }));
}

function tocOfText(text: string): Promise<Toc> {
  return readToc(Buffer.from(text), {
    blob: 'blob',
    codec: 'gzip',
    end: 1000,
    needsDigests: true,
    effort: UNBOUNDED,
  });
}

await test('every type of entry', async (t) => {
  const { tree, table, unchecked, prefetchEnd } = await tocOf(
    { name: '.prefetch.landmark', type: 'reg', size: 1, offset: 1 },
    { name: './', type: 'dir', mode: 0o755 },
    {
      name: './a/ä',
      type: 'reg',
      size: 700,
      mode: 0o104755,
      uid: 5,
      gid: 6,
      modtime: '2023-11-14T22:13:20Z',
      offset: 10,
      chunkSize: 600,
      chunkDigest: DIGEST,
      xattrs: { 'user.x': 'AAE=', 'user.ü': null },
    },
    { name: 'other name', type: 'chunk', offset: 90, chunkOffset: 600, chunkDigest: DIGEST },
    { name: 'a/.wh.b', type: 'reg' },
    { name: 'l', type: 'symlink', linkName: 'a/ä' },
    { name: 'c', type: 'char', devMajor: 4, devMinor: 300 },
    { name: 'p', type: 'fifo' },
    { name: 'z', type: 'reg', size: 10, offset: 500, innerOffset: 77, digest: DIGEST },
  );
  t.equal(prefetchEnd, 1);
  t.equal(unchecked, 0);
  const entries = Array.from({ length: tree.count }, (_, i) => tree.entry(i));
  t.same(
    entries.map(({ path, type }) => [path, type]),
    [
      ['', 'dir'],
      ['a/\u00c3\u00a4', 'reg'],
      ['a/b', 'whiteout'],
      ['l', 'symlink'],
      ['c', 'char'],
      ['p', 'fifo'],
      ['z', 'reg'],
    ],
  );
  t.match(entries[1], {
    size: 700,
    mode: 0o4755,
    uid: 5,
    gid: 6,
    mtime: 1_700_000_000,
    mtimeNs: 0,
  });
  t.same(entries[1]?.data, [{ fileOffset: 0, length: 700, source: 0, offset: 0 }]);
  t.same(
    entries[1]?.xattrs,
    new Map([
      ['user.x', Uint8Array.of(0, 1)],
      ['user.\u00c3\u00bc', new Uint8Array()],
    ]),
  );
  t.equal(entries[3]?.target, 'a/\u00c3\u00a4');
  t.same(entries[4]?.rdev, { major: 4, minor: 300 });
  t.same(entries[6]?.data, [{ fileOffset: 0, length: 10, source: 0, offset: 4096 }]);
  t.same([...table.lengths], [600, 100, 10]);
  t.same([...table.inner], [0, 0, 77]);
  t.same([...table.stored], [80, 410, 500]);
});

await test('zeros, and pieces without a digest', async (t) => {
  const { table, unchecked } = await readToc(
    Buffer.from(
      JSON.stringify({
        entries: [
          { name: 'a', type: 'reg', size: 30, offset: 5, chunkSize: 10 },
          {
            name: 'a',
            type: 'chunk',
            chunkOffset: 10,
            chunkSize: 20,
            chunkType: 'zeros',
            offset: 9,
          },
        ],
      }),
    ),
    { blob: 'blob', codec: 'zstd', end: 1000, needsDigests: false, effort: UNBOUNDED },
  );
  t.same([...table.members], [0, 0xffff_ffff]);
  t.equal(unchecked, 1);
});

await test('a chunk that does not go on with its file is found before the next is read', async (t) => {
  const file = { name: 'a', type: 'reg', size: 1e9, offset: 10, chunkSize: 1, chunkDigest: DIGEST };
  const wrong = { type: 'chunk', chunkOffset: 5 };
  // Its name is not a text; what follows the wrong chunk is not looked at.
  const rest = { name: 7 };
  const message =
    /"a" at byte 24: expected chunks without a gap from 1 .*, got chunk 1 of 999999999 .* at 5/;
  await t.rejects(tocOf(file, wrong, rest), { code: 'BAD_FORMAT', message });
});

await test('hard links before their targets, in chains, and replaced', async (t) => {
  const { tree } = await tocOf(
    { name: 'a', type: 'hardlink', linkName: './b' },
    { name: 'b', type: 'hardlink', linkName: '/c' },
    { name: 'c', type: 'reg' },
    { name: 'd', type: 'hardlink', linkName: 'nowhere' },
    { name: 'd', type: 'dir' },
  );
  const entries = Array.from({ length: tree.count }, (_, i) => tree.entry(i));
  t.same(
    entries.map(({ path, type, target }) => [path, type, target]),
    [
      ['c', 'reg', ''],
      ['d', 'dir', ''],
      ['a', 'hardlink', 'c'],
      ['b', 'hardlink', 'c'],
    ],
  );
});

await test('a hard link to a file of a lower layer that a later entry removes, as in an archive', async (t) => {
  const lower = layerOf('b @7', 'c');
  const { tree } = await tocOf(
    { name: 'a', type: 'hardlink', linkName: 'b' },
    { name: '.wh.b', type: 'reg' },
  );
  t.same(mergedLines(lower, tree), ['a @7', 'c']);
  const { tree: after } = await tocOf(
    { name: '.wh.b', type: 'reg' },
    { name: 'a', type: 'hardlink', linkName: 'b' },
  );
  t.throws(() => mergedLines(lower, after), { code: 'BAD_FORMAT', message: /hard link to "b"/ });
});

const file = { name: 'f', type: 'reg', size: 10, offset: 5, chunkDigest: DIGEST };
const WRONG: [unknown[], string, RegExp][] = [
  [[{ ...file, type: 'socket' }], 'UNSUPPORTED', /entry "f" at byte 24: its type is "socket"/],
  [[{ ...file, type: 5 }], 'BAD_FORMAT', /type: expected a string, got "5"/],
  [[{ ...file, name: {} }], 'BAD_FORMAT', /name: expected a string/],
  [[{ ...file, uid: -1 }], 'BAD_FORMAT', /uid: expected a whole number, got "-1"/],
  [[{ ...file, uid: 2 ** 40 }], 'LIMIT', /owner 1099511627776:0/],
  [[{ ...file, modtime: 'now' }], 'BAD_FORMAT', /modtime: expected a time, got "now"/],
  [[{ ...file, size: 2 ** 44 + 1 }], 'LIMIT', /a file of 17592186044417 bytes/],
  [[{ ...file, size: 2 ** 60 }], 'LIMIT', /a file of more than 2\^53 bytes, at most/],
  [[{ ...file, size: 2 ** 30 }], 'LIMIT', /1073741824 bytes are to be decoded for one piece/],
  [
    [{ ...file, offset: 1000 }],
    'BAD_FORMAT',
    /expected an offset in the blob below 1000, got 1000/,
  ],
  [[{ ...file, innerOffset: 2 ** 52 }], 'LIMIT', /are to be decoded for one piece/],
  [
    [{ ...file, chunkDigest: 'sha512:0' }],
    'BAD_FORMAT',
    /chunkDigest: expected "sha256:" and 64 digits/,
  ],
  [[{ ...file, chunkDigest: '' }], 'BAD_FORMAT', /chunk 0 has no digest/],
  [[{ ...file, chunkSize: 5 }], 'BAD_FORMAT', /expected chunks of 10 bytes, got 5/],
  [[{ ...file, chunkSize: 11 }], 'BAD_FORMAT', /got chunk 0 of 11 bytes at 0/],
  [[{ ...file, chunkOffset: 1 }], 'BAD_FORMAT', /got chunk 0 of 10 bytes at 1/],
  [[file, { name: 'f', type: 'chunk', chunkOffset: 10 }], 'BAD_FORMAT', /got chunk 1 of 0 bytes/],
  [
    [
      { ...file, size: 0 },
      { type: 'chunk', name: 'f' },
    ],
    'BAD_FORMAT',
    /a file of 0 bytes with chunks/,
  ],
  [[{ name: 'f', type: 'chunk' }], 'BAD_FORMAT', /a chunk that follows no file/],
  [[{ ...file, xattrs: [] }], 'BAD_FORMAT', /xattrs: expected an object/],
  [[{ ...file, xattrs: { a: 1 } }], 'BAD_FORMAT', /xattrs: expected base64/],
  [[{ name: 'l', type: 'symlink' }], 'BAD_FORMAT', /the target of a symlink is ""/],
  [
    [
      { name: 'x', type: 'hardlink', linkName: 'y' },
      { name: 'y', type: 'hardlink', linkName: 'x' },
    ],
    'BAD_FORMAT',
    /entry "x" .*: hard links that lead to each other/,
  ],
  [[{ name: 'x', type: 'hardlink', linkName: 'x' }], 'BAD_FORMAT', /lead to each other/],
];

for (const [entries, code, message] of WRONG) {
  await test(String(message), async (t) => {
    await t.rejects(tocOf(...entries), { code, message });
  });
}

await test('a long chain of hard links', async (t) => {
  const count = 20_000;
  const links = Array.from({ length: count }, (_, i) => {
    return { name: `l${i}`, type: 'hardlink', linkName: i === 0 ? 'f' : `l${i - 1}` };
  });
  const { tree } = await tocOf(...links.toReversed(), { name: 'f', type: 'reg' });
  t.equal(tree.count, count + 1);
  t.ok(Array.from({ length: count }, (_, i) => tree.targetOf(i + 1)).every((each) => each === 'f'));
});

await test('prefetch landmarks', async (t) => {
  const first = { name: 'a', type: 'reg', size: 5, offset: 100, digest: DIGEST };
  const landmark = { name: '.prefetch.landmark', type: 'reg', size: 1, digest: DIGEST };
  const endOf = async (...entries: object[]): Promise<number> => {
    return (await tocOf(first, ...entries)).prefetchEnd;
  };
  t.equal(await endOf(), 0);
  t.equal(await endOf({ ...landmark, name: '.no.prefetch.landmark', offset: 300 }), 0);
  t.equal(await endOf({ ...landmark, name: 'a/.prefetch.landmark', offset: 300 }), 0);
  t.equal(await endOf({ ...landmark, offset: 300 }), 300);
  t.equal(await endOf({ ...landmark, offset: 5000 }), 1000, 'no more than the blob has');
});

await test('a value that is nested too deep to be shown', async (t) => {
  const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
  const text = `{"version":1,"entries":[{"name":"f","type":${deep}}]}`;
  // Some releases of V8 make a text of it.
  const message = /type: expected a string, got (?:a value that is nested too deep|"\[{50})/;
  await t.rejects(tocOfText(text), { code: 'BAD_FORMAT', message });
});
