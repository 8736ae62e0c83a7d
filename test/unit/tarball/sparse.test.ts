// Sparse files in the forms of GNU tar: where their ranges are, and maps that are wrong.
import { test } from 'tap';
import type { TreeEntry } from '../../../daemon/tree/layer-tree.js';
import { archiveMember, sealArchiveHeader, writeArchive } from '../../support/archive-writer.js';
import { entriesOf, pax, read, refused } from './archives.js';

const octal = (value: number): string => `${value.toString(8).padStart(11, '0')}\0`;

const SPARSE: [string, string][] = [
  ['GNU.sparse.major', '1'],
  ['GNU.sparse.minor', '0'],
  ['GNU.sparse.name', 'true'],
  ['GNU.sparse.realsize', '5000'],
];
const map = (text: string): string => text.padEnd(512, '\0');
const EXPECTED = [
  { fileOffset: 0, length: 512, source: 0 },
  { fileOffset: 4608, length: 392, source: 0 },
];

function ranges(entry: TreeEntry | undefined, begin: number): unknown {
  return entry?.data.map(({ offset, ...range }, i) => {
    return offset === begin + 512 * i ? range : { offset };
  });
}

await test('sparse files in all four forms', async (t) => {
  const data = 'd'.repeat(904);
  const [in10] = await entriesOf(pax(...SPARSE), {
    name: 'placeholder',
    content: map('2\n0\n512\n4608\n392\n') + data,
  });
  t.match(in10, { path: 'true', size: 5000 });
  t.same(ranges(in10, 2048), EXPECTED);
  const [in01] = await entriesOf(
    pax(['GNU.sparse.map', '0,512,4608,392'], ['GNU.sparse.size', '5000']),
    { name: 'a', content: data },
  );
  t.same(ranges(in01, 1536), EXPECTED);
  const [in00] = await entriesOf(
    pax(
      ['GNU.sparse.size', '5000'],
      ['GNU.sparse.numblocks', '2'],
      ['GNU.sparse.offset', '0'],
      ['GNU.sparse.numbytes', '512'],
      ['GNU.sparse.offset', '4608'],
      ['GNU.sparse.numbytes', '392'],
    ),
    { name: 'a', content: data },
  );
  t.same(ranges(in00, 1536), EXPECTED);
  const old = oldSparse([0, 512, 4608, 392], 5000, data);
  t.same(ranges((await read(old)).entry(0), 512), EXPECTED);
  const [empty] = await entriesOf(pax(['GNU.sparse.size', '99'], ['GNU.sparse.numblocks', '0']), {
    name: 'a',
  });
  t.match(empty, { size: 99, data: [] });
});

/** @param numbers four pairs at most */
function oldSparse(numbers: readonly number[], size: number, data: string): Buffer {
  const bytes = archiveMember({ name: 'a', type: 'S', content: data });
  bytes.write('ustar  \0', 257, 'latin1');
  bytes.write(numbers.map(octal).join(''), 386, 'latin1');
  bytes.write(octal(size), 483, 'latin1');
  sealArchiveHeader(bytes);
  return bytes;
}

await test('an old sparse file with more ranges than its header has room for', async (t) => {
  const bytes = oldSparse([0, 512], 512 * 60, 'd'.repeat(512 * 26));
  bytes[482] = 1;
  sealArchiveHeader(bytes);
  const blocks = [21, 4].map((count, number) => {
    const block = Buffer.alloc(512);
    for (let i = 0; i < count; i++) {
      block.write(octal(1024 * (1 + 21 * number + i)) + octal(512), 24 * i, 'latin1');
    }
    block[504] = number === 0 ? 1 : 0;
    return block;
  });
  const archive = Buffer.concat([bytes.subarray(0, 512), ...blocks, bytes.subarray(512)]);
  const entry = (await read(archive)).entry(0);
  t.equal(entry.data.length, 26);
  t.same(entry.data.at(-1), {
    fileOffset: 1024 * 25,
    length: 512,
    source: 0,
    offset: 1536 + 512 * 25,
  });
  await refused(t, archive.subarray(0, 1100), 'BAD_FORMAT', /map at byte 0: expected 512 bytes/);
});

await test('blocks of a map without ranges, which could go on for ever', async (t) => {
  const bytes = oldSparse([0, 512], 5000, 'd'.repeat(512));
  bytes[482] = 1;
  sealArchiveHeader(bytes);
  const block = Buffer.alloc(512);
  block[504] = 1;
  const archive = Buffer.concat([bytes.subarray(0, 512), block, block, bytes.subarray(512)]);
  const message = /map at byte 0: expected a range in each block that others follow, got none/;
  await refused(t, archive, 'BAD_FORMAT', message);
});

const sparse = (content: string, records = SPARSE): Buffer =>
  writeArchive([pax(...records), { name: 'a', content }]);

await test('maps that are wrong', async (t) => {
  const cases: [Buffer, string, RegExp][] = [
    [sparse(map('1\n0\n513\n') + 'd'.repeat(512)), 'BAD_FORMAT', /ranges of 512 bytes/],
    [sparse(map('1\n0\n')), 'BAD_FORMAT', /decimal digits and a newline/],
    [sparse('1\n0\n'.padEnd(512, '1')), 'LIMIT', /at most 2\^53 - 1/],
    [sparse('1'.padEnd(15, '0').padEnd(512, '\n')), 'LIMIT', /at most 1000000 ranges/],
    [sparse(map('')), 'BAD_FORMAT', /decimal digits/],
    [sparse('0'.repeat(2000)), 'BAD_FORMAT', /numbers of at most 20 digits, got more/],
    [sparse('1\n0\n'), 'BAD_FORMAT', /its end within the 4 bytes of the file/],
    [sparse('', [['GNU.sparse.major', '1']]), 'BAD_FORMAT', /a record of its size, got none/],
    [
      sparse('', [
        ['GNU.sparse.major', '2'],
        ['GNU.sparse.size', '1'],
      ]),
      'UNSUPPORTED',
      /2\.0/,
    ],
    [
      sparse('', [
        ['GNU.sparse.map', '1'],
        ['GNU.sparse.size', '1'],
      ]),
      'BAD_FORMAT',
      /in turn/,
    ],
    [
      sparse('', [
        ['GNU.sparse.map', '1,x'],
        ['GNU.sparse.size', '1'],
      ]),
      'BAD_FORMAT',
      /digits/,
    ],
    [oldSparse([512, 512, 0, 512], 1024, 'd'.repeat(1024)), 'BAD_FORMAT', /range of data/],
    [oldSparse([0, 512], 100, 'd'.repeat(512)), 'BAD_FORMAT', /range of data/],
    [oldSparse([0, 100, 512, 512], 1024, 'd'.repeat(612)), 'UNSUPPORTED', /multiples of 512/],
  ];
  for (const [bytes, code, message] of cases) await refused(t, bytes, code, message);
});
