// The parts of a ztoc, and what is wrong with them.
import { test } from 'tap';
import { parseZtoc } from '../../../daemon/soci/ztoc.js';
import { writeFlat } from '../../support/flat-writer.js';
import { SOCI_ARCHIVE } from '../../support/soci-archive.js';
import { writeZtoc, type ZtocParts } from '../../support/ztoc-writer.js';

async function ztocWith(change: (parts: ZtocParts) => void = () => undefined): Promise<Buffer> {
  return (await writeZtoc(SOCI_ARCHIVE, { form: 'gzip', spanSize: 50_000, change })).ztoc;
}

await test('a ztoc', async (t) => {
  const ztoc = parseZtoc(await ztocWith(), 'ztoc');
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
    t.throws(() => parseZtoc(bytes, 'ztoc'), { code: 'BAD_FORMAT', message });
  }
  for (const [fields, message] of [
    [[], /a table of contents, got none/],
    [[null, null, null, null, { table: [] }], /the spans of the layer, got none/],
  ] as const) {
    t.throws(() => parseZtoc(writeFlat(fields), 'ztoc'), { code: 'BAD_FORMAT', message });
  }
  const noCheckpoints = writeFlat([
    ...Array<null>(4).fill(null),
    { table: [] },
    { table: [null, { i32: -1 }] },
  ]);
  t.throws(() => parseZtoc(noCheckpoints, 'ztoc'), { message: /expected checkpoints, got none/ });
});
