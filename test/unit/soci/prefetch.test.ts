// Lists of spans to prefetch: which bytes they name, and what is wrong with others.
import { test } from 'tap';
import { OverlaybdError } from '../../../daemon/errors.js';
import { UNBOUNDED } from '../../../daemon/lib/effort.js';
import { sha256Of } from '../../../daemon/lib/sha256.js';
import { openZtoc } from '../../../daemon/soci/open.js';
import { readPrefetch, type Prefetch } from '../../../daemon/soci/prefetch.js';
import { MAX_PREFETCH_BYTES, MAX_PREFETCH_SPANS } from '../../../daemon/soci/limits.js';
import { MemorySource } from '../../support/memory-source.js';
import { SOCI_ARCHIVE } from '../../support/soci-archive.js';
import { writeZtoc } from '../../support/ztoc-writer.js';

const { layer, ztoc } = await writeZtoc(SOCI_ARCHIVE, { form: 'plain', spanSize: 10_000 });
const opened = await openZtoc(
  new MemorySource(layer, 'layer'),
  { source: new MemorySource(ztoc, 'ztoc'), digest: null },
  UNBOUNDED,
);
const { table } = opened.pieces;

function read(list: unknown, digest?: string): Promise<Prefetch> {
  const bytes = Buffer.isBuffer(list) ? list : Buffer.from(JSON.stringify(list));
  const source = new MemorySource(bytes, 'list');
  const open = (): Promise<MemorySource> => Promise.resolve(source);
  return readPrefetch({ name: 'layer', digest: digest ?? sha256Of(bytes), open }, table);
}

function listOf(spans: unknown, version = '1.0'): unknown {
  return { version, prefetch_spans: spans };
}

await test('the stored bytes of spans, by their priority', async (t) => {
  const { ranges, notes } = await read(
    listOf([
      { start_span: 3, end_span: 4, priority: 2 },
      { start_span: 20, end_span: 20 },
      { start_span: 0, end_span: 1, priority: 2 },
    ]),
  );
  t.same(notes, []);
  t.same(ranges, [
    { begin: 200_000, end: layer.length },
    { begin: 30_000, end: 50_000 },
    { begin: 0, end: 20_000 },
  ]);
  const list = Buffer.from(JSON.stringify(listOf([{ start_span: 1, end_span: 1 }])));
  const open = (): Promise<MemorySource> => Promise.resolve(new MemorySource(list));
  const prefetch = { name: 'layer', digest: sha256Of(list), open };
  const withHint = await openZtoc(
    new MemorySource(layer, 'layer'),
    { source: new MemorySource(ztoc, 'ztoc'), digest: null, prefetch },
    UNBOUNDED,
  );
  t.same(withHint.pieces.prefetch, [{ begin: 10_000, end: 20_000 }]);
});

await test('a list that is wrong is a note', async (t) => {
  const one = { start_span: 0, end_span: 0 };
  const wrong: [list: unknown, message: RegExp, digest?: string][] = [
    [Buffer.from('{'), /version "1\.0", got "nothing"/],
    [Buffer.from('null'), /version "1\.0"/],
    [listOf([one], '2.0'), /version "1\.0", got/],
    [listOf('x'), /prefetch_spans: a list/],
    [
      Buffer.from(`{"version":${'['.repeat(200_000)}${']'.repeat(200_000)}}`),
      /nested too deep|got "\[{50}/,
    ],
    [listOf([null]), /a range of the 21 spans of the layer, got "null"/],
    [listOf([{ ...one, end_span: 21 }]), /a range of the 21 spans/],
    [listOf([{ ...one, start_span: -1 }]), /a range of the 21 spans/],
    [listOf([{ ...one, start_span: 1 }]), /a range of the 21 spans/],
    [listOf([{ ...one, end_span: 0.5 }]), /a range of the 21 spans/],
    [listOf([{ ...one, priority: 'x' }]), /a range of the 21 spans/],
    [listOf([one]), /expected the digest sha256:0/, `sha256:${'0'.repeat(64)}`],
    [Buffer.alloc(MAX_PREFETCH_BYTES + 1), /at most 1048576 bytes, got 1048577/],
    [listOf(Array(MAX_PREFETCH_SPANS + 1).fill(0)), /at most 65536 ranges of spans/],
  ];
  for (const [list, message, digest] of wrong) {
    const { ranges, notes } = await read(list, digest);
    t.same(ranges, []);
    t.match(notes, [message]);
    t.match(notes, [/^layer: its list of spans to fetch first is not used: /]);
  }
});

function gone(): never {
  throw new OverlaybdError('NOT_FOUND', 'gone');
}

function broken(): never {
  throw new Error('bug');
}

await test('a list that is not there is a note, and a bug is not', async (t) => {
  const from = { name: 'layer', digest: '' };
  t.match((await readPrefetch({ ...from, open: gone }, table)).notes, [/not used: gone$/]);
  await t.rejects(readPrefetch({ ...from, open: broken }, table), { message: 'bug' });
});
