// Spans that do not fit their layer or each other.
import { test } from 'tap';
import { UNBOUNDED } from '../../../daemon/lib/effort.js';
import { HeapBudget } from '../../../daemon/lib/heap-budget.js';
import { spanTable } from '../../../daemon/soci/spans.js';
import { parseZtoc } from '../../../daemon/soci/ztoc.js';
import { writeFlat } from '../../support/flat-writer.js';
import { SOCI_ARCHIVE } from '../../support/soci-archive.js';
import { writeZtoc, type ZtocOptions, type ZtocParts } from '../../support/ztoc-writer.js';

const CHECKPOINT = 17 + 32_768;

async function spansWith(
  form: ZtocOptions['form'],
  change: (parts: ZtocParts) => void = () => undefined,
  effort = UNBOUNDED,
) {
  const { ztoc } = await writeZtoc(SOCI_ARCHIVE, { form, spanSize: 40_000, change });
  const parsed = await parseZtoc(ztoc, 'ztoc', UNBOUNDED);
  return spanTable(parsed, { name: 'ztoc', headerSize: 10, effort });
}

await test('spans follow each other; neighbours share a byte if a block begins within it', async (t) => {
  const { count, positions, lengths, begins, stored, blocks } = await spansWith('gzip');
  t.ok(count > 3);
  for (let i = 1; i < count; i++) {
    t.equal(positions[i], (positions[i - 1] as number) + (lengths[i - 1] as number));
    const end = (begins[i - 1] as number) + (stored[i - 1] as number);
    t.equal(end - (begins[i] as number), blocks?.bits[i] === 0 ? 0 : 1);
  }
});

/** Sets a number of checkpoint `i`. */
function checkpoint(i: number, field: 'stored' | 'plain', value: number) {
  return (parts: ZtocParts): void => {
    const at = 12 + CHECKPOINT * i + (field === 'plain' ? 8 : 0);
    parts.checkpoints.writeBigInt64LE(BigInt(value), at);
  };
}

await test('what is wrong in gzip', async (t) => {
  const cases: [change: (parts: ZtocParts) => void, code: string, message: RegExp][] = [
    [checkpoint(0, 'plain', 1), 'BAD_FORMAT', /span 0 .* the start of the archive, got 1$/],
    [checkpoint(1, 'plain', 0), 'BAD_FORMAT', /span 0 .* bytes of the archive in their order/],
    [checkpoint(1, 'stored', 2), 'BAD_FORMAT', /span 0 .* bytes of the layer in their order/],
    [checkpoint(1, 'stored', 2 ** 40), 'BAD_FORMAT', /span 0 .* got 10 to 1099511627776$/],
    [checkpoint(1, 'plain', 2 ** 40), 'LIMIT', /span 0 .* at most 67108864 bytes of the archive/],
    [(parts) => (parts.uncompressedSize = 2 ** 50), 'LIMIT', /at most 67108864 bytes/],
    [(parts) => (parts.compressedSize = 2 ** 50), 'LIMIT', /at most 68157440 bytes of the layer/],
    [
      (parts) => {
        parts.maxSpanId++;
        parts.digests.push(parts.digests[0] as string);
      },
      'BAD_FORMAT',
      /digests of spans, as checkpoints/,
    ],
  ];
  for (const [change, code, message] of cases) {
    await t.rejects(spansWith('gzip', change), { code, message });
  }
});

await test('what is wrong without compression', async (t) => {
  const size = SOCI_ARCHIVE.length;
  const cases: [values: [number, number, number], code: string, message: RegExp][] = [
    [[1, 40_000, size], 'BAD_FORMAT', /expected version 2, got 1$/],
    [[2, 0, size], 'BAD_FORMAT', /spans of at least one byte/],
    [[2, -1, size], 'BAD_FORMAT', /size of a span: a whole number/],
    [[2, 40_000, size + 1], 'BAD_FORMAT', /expected a layer of \d+ bytes/],
    [[2, 50_000, size], 'BAD_FORMAT', /expected 5 digests of spans/],
  ];
  for (const [[version, span, bytes], code, message] of cases) {
    const checkpoints = writeFlat([{ i32: version }, { i64: span }, { i64: bytes }]);
    const spans = spansWith('plain', (parts) => void Object.assign(parts, { checkpoints }));
    await t.rejects(spans, { code, message });
  }
  const huge = 2 ** 40;
  const spans = spansWith('plain', (parts) => {
    parts.compressedSize = huge;
    parts.checkpoints = writeFlat([{ i32: 2 }, { i64: huge }, { i64: huge }]);
    parts.digests.length = 1;
    parts.maxSpanId = 0;
  });
  await t.rejects(spans, { code: 'LIMIT', message: /at most 67108864 bytes of the archive/ });
});

const refused = (bytes: number): void => {
  throw new Error(`no room for ${bytes}`);
};

await test('spans are announced before memory is taken for them', async (t) => {
  for (const form of ['gzip', 'plain'] as const) {
    let kept = 0;
    const keep = (bytes: number): void => void (kept += bytes);
    const { count } = await spansWith(form, undefined, { ...UNBOUNDED, keep });
    t.ok(kept >= count * 120, form);
    await t.rejects(spansWith(form, undefined, { ...UNBOUNDED, keep: refused }), /no room for/);
    const heap = new HeapBudget(120 * count - 1);
    await t.rejects(spansWith(form, undefined, { ...UNBOUNDED, heap }), {
      code: 'LIMIT',
      message: new RegExp(`^ztoc: .* other layers have, at most \\d+ bytes .* got ${count} spans$`),
    });
  }
});
