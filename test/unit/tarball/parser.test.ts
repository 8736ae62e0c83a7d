// Archives as trees: extensions, ends, types, and what is refused.
import { test } from 'tap';
import { MAX_EXTENSION_BYTES } from '../../../daemon/tarball/limits.js';
import {
  archiveMember,
  paxRecord,
  writeArchive,
  type ArchiveMember,
} from '../../support/archive-writer.js';
import { entriesOf, pax, read, refused } from './archives.js';

await test('files, and where their bytes are', async (t) => {
  const [a, b] = await entriesOf({ name: './a', content: 'x'.repeat(513) }, { name: '/b' });
  t.match(a, { path: 'a', type: 'reg', size: 513, mode: 0o644, position: 0 });
  t.same(a?.data, [{ fileOffset: 0, length: 513, source: 0, offset: 512 }]);
  t.match(b, { path: 'b', size: 0, data: [], position: 1536 });
});

await test('extensions are for the next file', async (t) => {
  const long = `${'n/'.repeat(80)}end`;
  const [a, b, c, d] = await entriesOf(
    pax(['path', 'long name'], ['size', '3'], ['uid', '4000000000'], ['mtime', '1.5']),
    { name: 'a', content: 'abc', size: 0 },
    { name: '@', type: 'L', content: `${long}\0` },
    { name: '@', type: 'K', content: `${long}/target\0` },
    { name: 'b', type: '2' },
    { name: 'c' },
    pax(['linkpath', 'c']),
    { name: 'd', type: '1' },
  );
  t.match(a, { path: 'long name', size: 3, uid: 4_000_000_000, mtime: 1, mtimeNs: 500_000_000 });
  t.match(b, { path: long, type: 'symlink', target: `${long}/target` });
  t.match(c, { path: 'c', type: 'reg', uid: 0 });
  t.match(d, { path: 'd', type: 'hardlink', target: 'c' });
});

await test('a header for all files, and one file that has its own', async (t) => {
  const [a, b] = await entriesOf(
    { ...pax(['uid', '7'], ['comment', 'a commit'], ['SCHILY.xattr.user.a', 'v']), type: 'g' },
    { name: 'a' },
    pax(['uid', '8']),
    { name: 'b' },
  );
  t.match(a, { uid: 7 });
  t.match(b, { uid: 8 });
  t.same(b?.xattrs?.get('user.a'), Buffer.from('v'));
});

await test('many records for all files are refused before they take hours', async (t) => {
  const all = { ...pax(['SCHILY.xattr.user.a', 'x'.repeat(600_000)]), type: 'g' };
  const file = { name: 'a' };
  t.equal((await read(writeArchive([all, file, file, file]))).count, 3);
  // Headers for all files take time, too, even those without a record.
  for (const next of [file, { ...pax(), type: 'g' }, { ...pax(['uid', '1']), type: 'g' }]) {
    const bytes = writeArchive([all, ...Array<ArchiveMember>(300).fill(next)]);
    const message =
      /extensions for all files at byte \d+: expected at most 67108864 bytes, counted for each/;
    await refused(t, bytes, 'LIMIT', message);
  }
});

await test('a directory of V7 has a slash at its end', async (t) => {
  const [a, b] = await entriesOf({ name: 'a/', type: '\0' }, { name: 'b', type: '\0' });
  t.match(a, { path: 'a', type: 'dir' });
  t.match(b, { path: 'b', type: 'reg' });
});

await test('the name of a volume is not a file', async (t) => {
  const entries = await entriesOf({ name: 'volume', type: 'V' }, { name: 'a' });
  t.same(
    entries.map(({ path }) => path),
    ['a'],
  );
});

await test('ends', async (t) => {
  const file = archiveMember({ name: 'a', content: 'abc' });
  const zeros = Buffer.alloc(512);
  const good = [
    [file],
    [file, zeros],
    [file, zeros, zeros],
    [file, zeros, zeros, Buffer.from('garbage')],
    [file, zeros, zeros, file],
    [file, zeros, Buffer.alloc(3)],
    // Without the zeros that fill its last block, or some of them.
    [file.subarray(0, 515)],
    [file.subarray(0, 700)],
  ];
  for (const parts of good) t.equal((await read(Buffer.concat(parts))).count, 1);
  t.equal((await read(Buffer.alloc(1024))).count, 0);
  await refused(
    t,
    Buffer.concat([file, zeros, file]),
    'BAD_FORMAT',
    /two blocks of zeros, got one/,
  );
  const cut = /after the header of "a" at byte 1024: expected a header, got the end/;
  await refused(t, file.subarray(0, 514), 'BAD_FORMAT', cut);
  const empty = archiveMember({ name: 'a' });
  await refused(t, Buffer.concat([file, empty.subarray(0, 511)]), 'BAD_FORMAT', /end at byte 1535/);
  await refused(t, Buffer.concat([file, Buffer.alloc(7)]), 'BAD_FORMAT', /end at byte 1031/);
  const name = archiveMember({ name: '@', type: 'L', content: 'abc\0' });
  await refused(t, name, 'BAD_FORMAT', /a file after an extended header/);
  await refused(
    t,
    name.subarray(0, 514),
    'BAD_FORMAT',
    /4 bytes at byte 512, got the end at byte 514/,
  );
});

await test('what is refused', async (t) => {
  const unknown = writeArchive([{ name: 'a', type: 'M' }]);
  await refused(
    t,
    unknown,
    'UNSUPPORTED',
    /byte 0: "a" is of type "M", which is not known: .*--multi-volume$/,
  );
  const incremental = writeArchive([{ name: 'etc/', type: 'D' }]);
  await refused(
    t,
    incremental,
    'UNSUPPORTED',
    /type "D", which is not known: .*--listed-incremental/,
  );
  const large = writeArchive([{ name: 'pax', type: 'x', size: MAX_EXTENSION_BYTES + 1 }]);
  await refused(t, large, 'LIMIT', /at most 1048576 bytes of extensions, got 1048577/);
  const half = MAX_EXTENSION_BYTES / 2 + 1;
  const content = paxRecord('comment', 'c'.repeat(half)).slice(-half);
  const body = `${half} comment=${content.slice(0, half - `${half} comment=`.length - 1)}\n`;
  const globals = writeArchive([1, 2].map(() => ({ name: 'pax', type: 'g', content: body })));
  await refused(t, globals, 'LIMIT', /bytes of extensions/);
  const far = writeArchive([{ name: 'a', type: 'V', size: Number.MAX_SAFE_INTEGER }]);
  await refused(t, far, 'LIMIT', /an end below byte 2\^53/);
  const huge = writeArchive([{ name: 'a', size: 2 ** 50 }]);
  await refused(t, huge, 'LIMIT', /entry "a" at byte 0: a file of 1125899906842624 bytes/);
});
