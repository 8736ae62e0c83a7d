// The check of every block: each bad one is found, named by number and place, and hides no other.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { closeFile } from '../../../daemon/blob/file-jobs.js';
import { openFile } from '../../../daemon/blob/open-file.js';
import { FileSource } from '../../../daemon/blob/file-source.js';
import { createDecoder } from '../../../daemon/codec/decoder.js';
import { encodeBlock } from '../../support/encode-block.js';
import { OverlaybdError, throwProblem, type FormatProblem } from '../../../daemon/errors.js';
import { ReaderFactory } from '../../../daemon/image/disks/reader-factory.js';
import { JumpTable } from '../../../daemon/zfile/jump-table.js';
import { ZfileVerifier } from '../../../daemon/zfile/verify.js';
import { textBytes } from '../../support/pattern.js';
import { unwrapped } from '../../support/unwrapped.js';
import { writeZfile, type ZfileOptions } from '../../support/zfile-writer.js';

/** Three runs and a short last block. */
const BLOCKS = 150;
const SIZE = (BLOCKS - 1) * 4096 + 100;
const plain = textBytes(1, SIZE);

interface Opened {
  /** The beginning of each block, and the end of the last one. */
  readonly offsets: number[];
  readonly check: (spoil?: (stored: Buffer, offsets: number[]) => void) => Promise<FormatProblem[]>;
}

/** Writes a ZFile and opens it while it is good; checks happen on a copy that may be damaged. */
async function open(test: Test, options: ZfileOptions): Promise<Opened> {
  const path = join(test.testdir(), 'blob');
  const stored = writeZfile(plain, options);
  writeFileSync(path, stored);
  const { spec: file, fd } = await openFile(path);
  test.teardown(() => closeFile(fd));
  const { spec } = await unwrapped(file);
  if (spec.kind !== 'zfile') throw new Error('not a zfile');
  const table = new JumpTable(spec.zfile.table);
  const offsets = Array.from({ length: BLOCKS + 1 }, (_, i) => table.offsetOf(i));
  const check: Opened['check'] = async (spoil = () => undefined) => {
    const copy = Buffer.from(stored);
    spoil(copy, offsets);
    writeFileSync(path, copy);
    const problems: FormatProblem[] = [];
    const decoder = createDecoder(spec.zfile.algorithm);
    const verifier = new ZfileVerifier(
      spec.zfile,
      new ReaderFactory().source(spec.of),
      decoder,
      (each) => problems.push(each),
    );
    let bytes = 0;
    for (let n = await verifier.step(); n > 0; n = await verifier.step()) bytes += n;
    test.equal(bytes, SIZE, 'all bytes were checked');
    return problems;
  };
  return { offsets, check };
}

const flip = (bytes: Buffer, at: number | undefined): void => {
  bytes[at as number] = (bytes[at as number] as number) ^ 1;
};

for (const algorithm of ['lz4', 'zstd'] as const) {
  await t.test(`${algorithm}: wrong checksums are found`, async (test) => {
    const { check, offsets } = await open(test, { algorithm });
    test.same(await check(), []);
    const problems = await check((stored) => {
      for (const block of [0, 10, 11, 12, 70, BLOCKS - 1]) flip(stored, offsets[block]);
      // A damaged checksum is found too.
      flip(stored, (offsets[100] as number) - 1);
    });
    test.same(
      problems.map(({ section, offset, code }) => ({ section, offset, code })),
      [
        { section: 'block 0', offset: 512, code: 'BAD_CHECKSUM' },
        { section: 'blocks 10 to 12, the first', offset: offsets[10], code: 'BAD_CHECKSUM' },
        { section: 'block 70', offset: offsets[70], code: 'BAD_CHECKSUM' },
        { section: 'block 99', offset: offsets[99], code: 'BAD_CHECKSUM' },
        { section: `block ${BLOCKS - 1}`, offset: offsets[BLOCKS - 1], code: 'BAD_CHECKSUM' },
      ],
    );
  });

  await t.test(`${algorithm}: bad blocks with a right checksum are found`, async (test) => {
    const bad = new Set([3, 63, 64, 65, BLOCKS - 1]);
    const { check } = await open(test, {
      algorithm,
      encode: (raw, index) => encodeBlock(algorithm, bad.has(index) ? raw.subarray(0, 50) : raw),
    });
    const problems = await check();
    test.same(
      problems.map(({ section, code }) => [section, code]),
      [
        ['block 3', 'BAD_DATA'],
        ['blocks 63 to 65, the first', 'BAD_DATA'],
        [`block ${BLOCKS - 1}`, 'BAD_DATA'],
      ],
    );
    test.match(problems[0]?.expected, /4096 bytes/);
    test.match(problems[2]?.expected, /100 bytes/, 'the last block is a short one');
  });
}

await t.test('without checksums, decoding finds bad blocks', async (test) => {
  const { check, offsets } = await open(test, { verify: false, algorithm: 'zstd' });
  test.same(await check(), []);
  const problems = await check((stored) => flip(stored, offsets[42]));
  test.same(
    problems.map(({ section, code }) => [section, code]),
    [['block 42', 'BAD_DATA']],
  );
});

await t.test('a file that was cut short', async (test) => {
  const { offsets } = await open(test, {});
  const { spec: file, fd } = await openFile(join(test.testdirName, 'blob'));
  test.teardown(() => closeFile(fd));
  const { spec } = await unwrapped(file);
  if (spec.kind !== 'zfile') throw new Error('not a zfile');
  const found: FormatProblem[] = [];
  const short = new FileSource({ ...file, size: (offsets[20] as number) + 1 });
  const decoder = createDecoder('lz4');
  const verifier = new ZfileVerifier(spec.zfile, short, decoder, (each) => found.push(each));
  while ((await verifier.step()) > 0);
  test.equal(verifier.badBlocks, BLOCKS - 20);
  test.match(found, [{ section: `blocks 20 to ${BLOCKS - 1}, the first`, got: /the file ends/ }]);
});

await t.test('an error that the sink throws ends the check', async (test) => {
  const { offsets } = await open(test, {});
  const { spec: file, fd } = await openFile(join(test.testdirName, 'blob'));
  test.teardown(() => closeFile(fd));
  const { spec } = await unwrapped(file);
  if (spec.kind !== 'zfile') throw new Error('not a zfile');
  const short = new FileSource({ ...file, size: offsets[1] as number });
  const decoder = createDecoder('lz4');
  const verifier = new ZfileVerifier(spec.zfile, short, decoder, throwProblem);
  await test.rejects(async () => {
    while ((await verifier.step()) > 0);
  }, OverlaybdError);
});
