// Layers with ztocs that a writer of our own has made: in gzip with one member or several, and plain.
import { test, type Test } from 'tap';
import { readFully } from '../../../daemon/blob/source.js';
import { loadAround, ReaderFactory } from '../../../daemon/image/disks/reader-factory.js';
import { UNBOUNDED } from '../../../daemon/lib/effort.js';
import { PiecesSource } from '../../../daemon/pieces/pieces-source.js';
import { openZtoc, type OpenedZtoc } from '../../../daemon/soci/open.js';
import { readArchive } from '../../../daemon/tarball/read-archive.js';
import { MemorySource } from '../../support/memory-source.js';
import { SOCI_ARCHIVE } from '../../support/soci-archive.js';
import { writeZtoc, type WrittenZtoc, type ZtocOptions } from '../../support/ztoc-writer.js';

await loadAround();

function open({ layer, ztoc }: WrittenZtoc, digest: string | null = null): Promise<OpenedZtoc> {
  const source = new MemorySource(ztoc, 'ztoc');
  return openZtoc(new MemorySource(layer, 'layer'), { source, digest }, UNBOUNDED);
}

/** Every span by itself, from the last to the first, is what the archive has. */
async function readsBack(t: Test, { pieces }: OpenedZtoc, layer: Buffer): Promise<void> {
  const source = new PiecesSource(
    pieces,
    new MemorySource(layer),
    new ReaderFactory().pieceTools(),
  );
  const { count, positions, lengths } = pieces.table;
  for (let i = count - 1; i >= 0; i--) {
    const at = positions[i] as number;
    const bytes = await readFully(source, at, lengths[i] as number);
    t.ok(bytes.equals(SOCI_ARCHIVE.subarray(at, at + bytes.length)), `span ${i}`);
  }
}

const FORMS: [what: string, options: ZtocOptions, format: RegExp][] = [
  [
    'gzip',
    { form: 'gzip', spanSize: 20_000 },
    /^SOCI, by a ztoc of version "0\.9", gzip, \d+ spans; ztoc sha256:/,
  ],
  ['several members', { form: 'gzip', spanSize: 20_000, memberSize: 50_000 }, /gzip/],
  [
    'spans with several members',
    { form: 'gzip', spanSize: 100_000, memberSize: 9000 },
    /, 3 spans;/,
  ],
  ['a name in the header', { form: 'gzip', spanSize: 20_000, hasName: true }, /gzip/],
  ['version 1', { form: 'gzip version 1', spanSize: 20_000 }, /gzip/],
  [
    'version 1, a name in the header',
    { form: 'gzip version 1', spanSize: 20_000, hasName: true },
    /gzip/,
  ],
  [
    'version 1, a long header',
    { form: 'gzip version 1', spanSize: 20_000, extraSize: 65_535, hasName: true },
    /gzip/,
  ],
  ['one span', { form: 'gzip', spanSize: 1 << 20 }, /gzip, 1 span;/],
  ['plain', { form: 'plain', spanSize: 10_000 }, /uncompressed, 21 spans;/],
];

for (const [what, options, format] of FORMS) {
  await test(what, async (t) => {
    const written = await writeZtoc(SOCI_ARCHIVE, options);
    const opened = await open(written);
    t.match(opened.format, format);
    t.match(opened.notes, [/its ztoc is not verified: nothing says which digest it must have/]);
    await readsBack(t, opened, written.layer);
    const expected = await readArchive(new MemorySource(SOCI_ARCHIVE), UNBOUNDED);
    t.equal(opened.tree.count, expected.count);
    for (let i = 0; i < expected.count; i++) {
      t.match(opened.tree.entry(i), { ...expected.entry(i), position: Number });
    }
  });
}

await test('padding after the end of the archive is not counted', async (t) => {
  const archive = Buffer.concat([SOCI_ARCHIVE, Buffer.alloc(30_000)]);
  const written = await writeZtoc(archive, {
    form: 'gzip',
    spanSize: 10_000,
    memberSize: 10_000,
    change: (parts) => {
      parts.uncompressedSize = SOCI_ARCHIVE.length;
    },
  });
  const opened = await open(written);
  t.equal(opened.pieces.table.size, Math.ceil(SOCI_ARCHIVE.length / 512) * 512);
  await readsBack(t, opened, written.layer);
});

await test('the digest of the ztoc must match', async (t) => {
  const written = await writeZtoc(SOCI_ARCHIVE, { form: 'plain', spanSize: 50_000 });
  const [, digest = ''] = /ztoc (sha256:[0-9a-f]{64})$/.exec((await open(written)).format) ?? [];
  t.same((await open(written, digest)).notes, []);
  const other = `sha256:${'0'.repeat(64)}`;
  const message = `ztoc: ztoc at byte 0: expected the digest ${other}, got ${digest}`;
  await t.rejects(open(written, other), { code: 'BAD_CHECKSUM', message });
});

await test('a changed layer: reads of its span fail', async (t) => {
  for (const form of ['gzip', 'plain'] as const) {
    const written = await writeZtoc(SOCI_ARCHIVE, { form, spanSize: 30_000 });
    const { pieces } = await open(written);
    const { table } = pieces;
    const changed = Buffer.from(written.layer);
    // A byte that two spans share belongs to both.
    const at = (table.begins[1] as number) + 100;
    changed[at] = (changed[at] as number) ^ 4;
    const source = new PiecesSource(
      pieces,
      new MemorySource(changed),
      new ReaderFactory().pieceTools(),
    );
    await t.rejects(readFully(source, table.positions[1] as number, 10), {
      code: 'BAD_CHECKSUM',
      message: /^layer: piece 1 at byte \d+: expected the digest sha256:\w{64}, got sha256:\w{64}$/,
    });
    await t.resolves(readFully(source, 0, table.lengths[0] as number));
    await t.resolves(readFully(source, table.positions[2] as number, 10));
  }
});

await test('a ztoc of another layer, and a layer that is not gzip', async (t) => {
  const written = await writeZtoc(SOCI_ARCHIVE, { form: 'gzip', spanSize: 50_000 });
  const longer = { ...written, layer: Buffer.concat([written.layer, Buffer.alloc(1)]) };
  await t.rejects(open(longer), {
    code: 'BAD_FORMAT',
    message: /^ztoc: ztoc at byte 0: expected a ztoc of layer, which has \d+ bytes, got \d+$/,
  });
  const zeros = { ...written, layer: Buffer.alloc(written.layer.length) };
  await t.rejects(open(zeros), {
    code: 'BAD_FORMAT',
    message: /does not begin with a gzip header of at most 131072 bytes/,
  });
  class Huge extends MemorySource {
    override get size(): number {
      return 2 ** 40;
    }
  }
  const source = new Huge(written.ztoc, 'ztoc');
  await t.rejects(openZtoc(new MemorySource(written.layer), { source, digest: null }, UNBOUNDED), {
    code: 'LIMIT',
    message: 'ztoc: ztoc at byte 0: expected at most 134217728 bytes, got 1099511627776',
  });
});
