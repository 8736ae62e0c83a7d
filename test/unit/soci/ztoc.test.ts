// The parts of a ztoc, and what is wrong with them.
import { test } from 'tap';
import { ImageEffort, TooLargeHere } from '../../../daemon/opener/effort.js';
import { UNBOUNDED } from '../../../daemon/lib/effort.js';
import { parseZtoc } from '../../../daemon/soci/ztoc.js';
import { writeFlat } from '../../support/flat-writer.js';
import { SOCI_ARCHIVE } from '../../support/soci-archive.js';
import { writeZtoc, type ZtocParts } from '../../support/ztoc-writer.js';

async function ztocWith(change: (parts: ZtocParts) => void = () => undefined): Promise<Buffer> {
  return (await writeZtoc(SOCI_ARCHIVE, { form: 'gzip', spanSize: 50_000, change })).ztoc;
}

await test('a ztoc', async (t) => {
  const ztoc = await parseZtoc(await ztocWith(), 'ztoc', UNBOUNDED);
  t.match(ztoc, { version: '"0.9"', algorithm: 'gzip', uncompressedSize: SOCI_ARCHIVE.length });
  t.equal(ztoc.spanDigests.length, 32 * ztoc.spanCount);
  t.ok(ztoc.entries.count > 10);
});

await test('what is wrong', async (t) => {
  const cases: [change: (parts: ZtocParts) => void, message: RegExp][] = [
    [(parts) => (parts.algorithm = 3), /expected gzip \(1\) or no compression \(2\), got 3$/],
    [(parts) => (parts.algorithm = -1), /got -1$/],
    [(parts) => parts.maxSpanId++, /expected \d+ digests of spans, by the number of the last/],
    [(parts) => (parts.maxSpanId = -1), /expected 0 digests/],
    [(parts) => (parts.digests[1] = 'sha256:AB'), /digest of span 1: .*, got "sha256:AB"$/],
    [(parts) => (parts.digests[0] = `md5:${'0'.repeat(64)}`), /digest of span 0/],
    [(parts) => (parts.compressedSize = -1), /size of the layer: a whole number/],
    [(parts) => (parts.uncompressedSize = -5), /size of the archive: a whole number/],
  ];
  for (const [change, message] of cases) {
    const bytes = await ztocWith(change);
    await t.rejects(parseZtoc(bytes, 'ztoc', UNBOUNDED), { code: 'BAD_FORMAT', message });
  }
  for (const [fields, message] of [
    [[], /a table of contents, got none/],
    [[null, null, null, null, { table: [] }], /the spans of the layer, got none/],
  ] as const) {
    await t.rejects(parseZtoc(writeFlat(fields), 'ztoc', UNBOUNDED), {
      code: 'BAD_FORMAT',
      message,
    });
  }
  const noCheckpoints = writeFlat([
    ...Array<null>(4).fill(null),
    { table: [] },
    { table: [null, { i32: -1 }] },
  ]);
  await t.rejects(parseZtoc(noCheckpoints, 'ztoc', UNBOUNDED), {
    message: /expected checkpoints, got none/,
  });
});

await test('many digests: not on a thread with other work', async (t) => {
  const bytes = await ztocWith((parts) => {
    parts.maxSpanId = 9999;
    parts.digests = Array<string>(10_000).fill(`sha256:${'0'.repeat(64)}`);
  });
  await t.rejects(parseZtoc(bytes, 'ztoc', new ImageEffort(true)), TooLargeHere);
  t.equal((await parseZtoc(bytes, 'ztoc', UNBOUNDED)).spanCount, 10_000);
  let turns = 0;
  const turn = (): null => (turns++, null);
  await parseZtoc(bytes, 'ztoc', { ...UNBOUNDED, turn });
  t.equal(turns, 5);
});
