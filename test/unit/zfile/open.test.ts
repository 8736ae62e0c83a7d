// Opening ZFiles: whether the header or the trailer counts, what is checked, and in which order. Blocks:
// reader.test.ts.
import { test } from 'tap';
import type { FormatProblem } from '../../../daemon/errors.js';
import { isZfileHeader } from '../../../daemon/zfile/format.js';
import { JumpTable } from '../../../daemon/zfile/jump-table.js';
import { openZfile, type OpenZfile } from '../../../daemon/zfile/open.js';
import { MemorySource } from '../../support/memory-source.js';
import { textBytes } from '../../support/pattern.js';
import { ZFILE_FLAG, zfilePage } from '../../support/zfile-layout.js';
import { writeZfile, type ZfileOptions } from '../../support/zfile-writer.js';

const RAW = textBytes(1, 20_000);
const { header, data, sealed, overwritten, digest, indexCompressed } = ZFILE_FLAG;

async function open(bytes: Buffer): Promise<OpenZfile & { table: JumpTable }> {
  const opened = await openZfile(new MemorySource(bytes), bytes.subarray(0, 4096));
  return { ...opened, table: new JumpTable(opened.spec.table) };
}
const oneMore = (lengths: number[]): number[] => [...lengths, 99];
const twoMore = (lengths: number[]): number[] => [...lengths, 99, 99];
const openWith = (options: ZfileOptions) => open(writeZfile(RAW, options));

await test('both modes give the same numbers', async (t) => {
  for (const mode of ['header', 'trailer'] as const) {
    const opened = await openWith({ mode, algorithm: 'zstd', blockSize: 8192 });
    t.equal(opened.mode, mode);
    t.equal(opened.header.originalSize, 20_000);
    t.equal(opened.header.blockSize, 8192);
    t.equal(opened.header.algorithm, 2);
    t.equal(opened.header.verify, true);
    t.equal(opened.spec.table.count, 3);
    t.equal(opened.table.offsetOf(0), 512);
    t.equal(opened.table.offsetOf(3), opened.header.indexOffset);
    t.equal(opened.storedBytes, opened.header.indexOffset - 512);
  }
});

await test('header mode never reads the trailer', async (t) => {
  const good = writeZfile(RAW, { mode: 'header' });
  const blank = Buffer.concat([good.subarray(0, -512), Buffer.alloc(512)]);
  const trailed = Buffer.concat([good, Buffer.alloc(5000, 0xee)]);
  for (const bytes of [blank, good.subarray(0, -512), trailed, good.subarray(0, -1)]) {
    t.equal((await open(bytes)).spec.table.count, 5);
  }
});

await test('trailer mode needs a valid trailer at the end of the file', async (t) => {
  const good = writeZfile(RAW, { mode: 'trailer' });
  const at = good.length - 512;
  const bad = {
    code: 'BAD_FORMAT',
    message: new RegExp(`^blob: zfile trailer magic at byte ${at}: `),
  };
  await t.rejects(open(Buffer.concat([good.subarray(0, -512), Buffer.alloc(512)])), bad);
  await t.rejects(open(Buffer.concat([good, Buffer.alloc(1)])), { message: /zfile trailer magic/ });
  await t.rejects(open(good.subarray(0, -1)), { message: /zfile trailer magic/ });
  for (const flags of [header | data | sealed, data, sealed, 0]) {
    await t.rejects(openWith({ mode: 'trailer', trailer: { flags } }), {
      code: 'BAD_FORMAT',
      message: `blob: zfile trailer flags at byte ${at + 32}: expected data file and sealed set, header clear, got 0x${flags.toString(16)}`,
    });
  }
});

await test('trailer mode ignores the numbers in the header', async (t) => {
  const wrong = {
    indexOffset: 2 ** 40,
    indexSize: 2 ** 40,
    originalSize: 7,
    blockSize: 12_288,
    algo: 0,
  };
  t.equal((await openWith({ mode: 'trailer', header: wrong })).spec.table.count, 5);
});

await test('trailer mode needs the data bit in the header', async (t) => {
  await t.rejects(openWith({ mode: 'trailer', header: { flags: header } }), {
    code: 'BAD_FORMAT',
    message: /^blob: zfile header flags at byte 32: expected the data file bit, got 0x00000001$/,
  });
});

await test('a header alone has no room for a trailer', async (t) => {
  for (const size of [512, 513, 1023]) {
    const bytes = Buffer.alloc(size);
    zfilePage({ flags: header | data }).copy(bytes);
    await t.rejects(open(bytes), {
      code: 'BAD_FORMAT',
      message: /^blob: zfile at byte 0: expected at least 1024 bytes/,
    });
  }
});

await test('the digest of the header is checked if its flag is set', async (t) => {
  for (const mode of ['header', 'trailer'] as const) {
    await t.rejects(openWith({ mode, header: { digest: 1 } }), {
      code: 'BAD_CHECKSUM',
      message:
        /^blob: zfile header digest at byte 28: expected checksum 0x00000001, got 0x[0-9a-f]{8}$/,
    });
    t.equal((await openWith({ mode, digest: false, header: { digest: 77 } })).hasDigest, false);
  }
  // It covers all 512 bytes, also those after the struct.
  const bytes = writeZfile(RAW);
  bytes[511] = 1;
  await t.rejects(open(bytes), { code: 'BAD_CHECKSUM', message: /zfile header digest/ });
});

await test('the digest of the trailer is never checked', async (t) => {
  t.equal((await openWith({ mode: 'trailer', trailer: { digest: 1 } })).spec.table.count, 5);
});

await test('the jump table is checked if the page that counts has the digest flag', async (t) => {
  const bad = {
    code: 'BAD_CHECKSUM',
    message: /^blob: zfile jump table at byte \d+: expected checksum 0x00000001, got 0x/,
  };
  await t.rejects(openWith({ mode: 'header', header: { indexCrc: 1 } }), bad);
  await t.rejects(openWith({ mode: 'trailer', trailer: { indexCrc: 1 } }), bad);
  const off = { digest: false, header: { indexCrc: 1 }, trailer: { indexCrc: 1 } };
  await openWith({ mode: 'header', ...off });
  await openWith({ mode: 'trailer', ...off });
  // If both pages disagree, the trailer counts, as in the reference.
  const start = header | data;
  const end = data | sealed;
  await openWith({
    mode: 'trailer',
    header: { flags: start | digest },
    trailer: { flags: end, indexCrc: 1 },
  });
  await t.rejects(
    openWith({
      mode: 'trailer',
      header: { flags: start },
      trailer: { flags: end | digest, indexCrc: 1 },
    }),
    bad,
  );
});

await test('the checksum covers entries that no block needs', async (t) => {
  t.equal((await openWith({ index: twoMore })).spec.table.count, 5);
  const bytes = writeZfile(RAW, { index: twoMore });
  bytes.writeUInt8(98, bytes.length - 512 - 4);
  await t.rejects(open(bytes), { code: 'BAD_CHECKSUM', message: /zfile jump table/ });
});

await test('an index flagged as compressed is read as it is', async (t) => {
  const flags = header | data | overwritten | digest | indexCompressed;
  t.equal((await openWith({ header: { flags } })).spec.table.count, 5);
});

await test('geometry: each number is checked and named', async (t) => {
  const cases: [ZfileOptions['header'], RegExp][] = [
    [
      { blockSize: 0 },
      /zfile block size at byte 72: expected a power of two from 512 to 65536, got 0$/,
    ],
    [{ blockSize: 256 }, /zfile block size .* got 256$/],
    [{ blockSize: 12_288 }, /zfile block size .* got 12288$/],
    [{ blockSize: 131_072 }, /zfile block size .* got 131072$/],
    [{ blockSize: 0x8000_0000 }, /zfile block size .* got 2147483648$/],
    [
      { algo: 0 },
      /zfile compression algorithm at byte 76: expected 1 \(lz4\) or 2 \(zstd\), got 0$/,
    ],
    [{ algo: 3 }, /zfile compression algorithm .* got 3$/],
    [
      { indexSize: 1_000_000_001 },
      /zfile jump table size at byte 48: expected at most 1000000000 entries/,
    ],
    [{ indexSize: 2 ** 63 }, /zfile jump table size/],
    [
      { indexSize: 4 },
      /zfile jump table size at byte 48: expected 5 entries, one for each block of 20000 bytes, got 4$/,
    ],
    [{ indexSize: 0 }, /zfile jump table size at byte 48: expected 5 entries/],
    [{ originalSize: 20_481 }, /zfile jump table size at byte 48: expected 6 entries/],
    [{ originalSize: 2 ** 63 }, /zfile jump table size at byte 48/],
    [{ indexOffset: 511 }, /zfile jump table offset at byte 40: expected 512 to \d+, got 511$/],
    [{ indexOffset: 2 ** 62 }, /zfile jump table offset/],
    [{ dictSize: 1_000_000 }, /zfile jump table offset at byte 40: expected 1000512 to/],
  ];
  for (const [fields, message] of cases) {
    if (!fields) continue;
    const expected = { code: 'BAD_FORMAT', message };
    await t.rejects(openWith({ header: fields }), expected, JSON.stringify(fields));
    // The same numbers in a trailer, whose fields are elsewhere in the file.
    const elsewhere = new RegExp(message.source.replace(/ at byte \d+/, ' at byte \\d{3,}'));
    const inTrailer = { code: 'BAD_FORMAT', message: elsewhere };
    await t.rejects(openWith({ mode: 'trailer', trailer: fields }), inTrailer, 'in the trailer');
  }
});

await test('in trailer mode the jump table must not reach into the trailer', async (t) => {
  await openWith({ mode: 'trailer', index: oneMore });
  await t.rejects(openWith({ mode: 'trailer', index: oneMore, trailer: { indexSize: 7 } }), {
    code: 'BAD_FORMAT',
    message: /zfile jump table end at byte \d+/,
  });
});

await test('a table past the file is refused before memory is allocated', async (t) => {
  for (const indexSize of [1_000_000_000, 1_000_000]) {
    const source = new MemorySource(
      writeZfile(RAW, { header: { indexSize, originalSize: indexSize * 4096 } }),
    );
    const before = process.memoryUsage();
    await t.rejects(openZfile(source, source.bytes.subarray(0, 512)), {
      code: 'BAD_FORMAT',
      message: /^blob: zfile jump table end at byte 48/,
    });
    t.ok(process.memoryUsage().arrayBuffers - before.arrayBuffers < 1e6, 'no memory for the table');
    t.same(source.reads, [], 'only the header was read');
  }
});

await test('a dictionary moves the blocks and is otherwise ignored', async (t) => {
  const plain = writeZfile(RAW);
  const fields = {
    flags: header | data | overwritten | digest,
    indexOffset: Number(plain.readBigUInt64LE(40)) + 100,
    indexSize: 5,
    originalSize: RAW.length,
    indexCrc: plain.readUInt32LE(64),
    blockSize: 4096,
    algo: 1,
    verify: 1,
    dictSize: 100,
  };
  for (const useDict of [0, 1]) {
    const page = zfilePage({ ...fields, useDict });
    const opened = await open(Buffer.concat([page, Buffer.alloc(100, 0xdd), plain.subarray(512)]));
    t.equal(opened.table.offsetOf(0), 612);
    t.equal(opened.table.offsetOf(5), fields.indexOffset);
  }
});

await test('a file of no bytes has no blocks', async (t) => {
  for (const mode of ['header', 'trailer'] as const) {
    const opened = await open(writeZfile(Buffer.alloc(0), { mode }));
    t.equal(opened.spec.table.count, 0);
    t.equal(opened.storedBytes, 0);
  }
});

await test('wrong checksums go to the sink; the first wrong number ends the opening', async (t) => {
  const found: FormatProblem[] = [];
  const sink = (problem: FormatProblem): void => void found.push(problem);
  const bytes = writeZfile(RAW, { header: { digest: 1, indexCrc: 2 } });
  const { spec } = await openZfile(new MemorySource(bytes), bytes, { sink });
  t.equal(spec.table.count, 5, 'it is readable nevertheless');
  const sections = ['zfile header digest', 'zfile jump table'];
  t.same(
    found.map(({ section }) => section),
    sections,
  );
  const wrong = writeZfile(RAW, { header: { digest: 1, blockSize: 3, indexOffset: 1 } });
  await t.rejects(openZfile(new MemorySource(wrong), wrong, { sink }), {
    code: 'BAD_FORMAT',
    message: /^blob: zfile block size /,
  });
  t.equal(found.at(-1)?.section, 'zfile header digest');
});

await test('a ZFile is recognized by its magic and the header bit', (t) => {
  t.equal(isZfileHeader(writeZfile(RAW)), true);
  t.equal(
    isZfileHeader(writeZfile(RAW, { header: { digest: 1 } })),
    true,
    'a bad digest does not hide it',
  );
  t.equal(isZfileHeader(zfilePage({ flags: data })), false);
  t.equal(isZfileHeader(zfilePage({ flags: header }).subarray(0, 511)), false);
  t.equal(isZfileHeader(Buffer.alloc(512)), false);
  const other = zfilePage({ flags: header, magic1: Buffer.alloc(16) });
  t.equal(isZfileHeader(other), false);
  t.end();
});
