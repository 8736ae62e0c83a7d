// Blobs of all forms, by our own writer.
import { test } from 'tap';
import { openChunked, openEstargz, type OpenedToc } from '../../../daemon/estargz/open.js';
import { parseChunkedFooter } from '../../../daemon/estargz/chunked-footer.js';
import { parseFooter } from '../../../daemon/estargz/footer.js';
import { ImageEffort, TooLargeHere } from '../../../daemon/opener/effort.js';
import { loadAround, ReaderFactory } from '../../../daemon/image/disks/reader-factory.js';
import { UNBOUNDED } from '../../../daemon/lib/effort.js';
import { writeEstargz, type TocFile, type WriteOptions } from '../../support/estargz-writer.js';
import { MemorySource } from '../../support/memory-source.js';
import { textBytes } from '../../support/pattern.js';

await loadAround();

const words = textBytes(1, 5000);
const files: TocFile[] = [
  { entry: { name: 'dir/', type: 'dir' } },
  { entry: { name: 'dir/words', type: 'reg' }, bytes: words },
];
const readers = new ReaderFactory();

function open(blob: Buffer, digest: string | null, effort = UNBOUNDED): Promise<OpenedToc> {
  const source = new MemorySource(blob);
  const isZstd = blob.readUInt8(0) !== 0x1f;
  const toc = { json: isZstd ? null : digest, manifest: isZstd ? digest : null };
  const wishes = { toc: digest === null ? null : toc, tocSource: null, effort };
  const chunked = parseChunkedFooter(blob.subarray(-72), source.name, blob.length);
  if (chunked) return openChunked(source, chunked, readers.zstdDecoders(), wishes);
  const footer = parseFooter(blob.subarray(-51), source.name, blob.length);
  if (!footer) throw new Error('no footer');
  return openEstargz(source, footer, wishes);
}

const FORMS: WriteOptions['form'][] = ['eStargz', 'stargz', 'zstd:chunked old', 'zstd:chunked'];
for (const form of FORMS) {
  await test(form, async (t) => {
    const { blob, digest } = writeEstargz(files, { form, pieceSize: 2000 });
    const opened = await open(blob, null);
    t.equal(opened.digest, digest);
    t.match(opened.notes, [
      /its table of contents is not verified: nothing says which digest it must have/,
    ]);
    t.equal(opened.pieces.table.count, 3);
    const verified = await open(blob, digest);
    t.same(verified.notes, []);
    const source = readers.source({ ...verified.pieces, of: memoryOf(blob) });
    const bytes = Buffer.alloc(5000);
    await source.load(0, 5000);
    t.ok(source.read(0, 5000, bytes, 0));
    t.same(bytes, words);
    const wrong = `sha256:${'0'.repeat(64)}`;
    await t.rejects(open(blob, wrong), {
      code: 'BAD_CHECKSUM',
      message: /table of contents at byte \d+: expected the digest sha256:0{64}, got sha256:/,
    });
  });
}

for (const form of FORMS) {
  await test(`${form}: a layer without entries, as Go writes its list`, async (t) => {
    const { blob, digest } = writeEstargz([], { form, change: () => ({ entries: null }) });
    const { tree, pieces } = await open(blob, digest);
    t.equal(tree.count, 0);
    t.equal(pieces.table.count, 0);
  });
}

function memoryOf(bytes: Buffer): { kind: 'memory'; name: string; memory: SharedArrayBuffer } {
  const memory = new SharedArrayBuffer(bytes.length);
  Buffer.from(memory).set(bytes);
  return { kind: 'memory', name: 'blob', memory };
}

await test('a table of contents that is not one', async (t) => {
  const { blob } = writeEstargz(files, { form: 'eStargz' });
  const footer = blob.subarray(-51);
  const cut = (bytes: Buffer): Buffer => {
    const offset = Buffer.from(footer);
    offset.write((100).toString(16).padStart(16, '0'), 16, 'latin1');
    return Buffer.concat([blob.subarray(0, 100), bytes, offset]);
  };
  await t.rejects(open(cut(Buffer.alloc(300, 1)), null), {
    code: 'BAD_FORMAT',
    message: /table of contents at byte 100: not a gzip member/,
  });
  await t.rejects(open(cut(blob.subarray(0, 200)), null), { code: 'BAD_FORMAT' });
  const chunked = writeEstargz(files, { form: 'zstd:chunked' }).blob;
  chunked.fill(0, chunked.length - 90, chunked.length - 80);
  await t.rejects(open(chunked, null), {
    code: 'BAD_FORMAT',
    message: /manifest at byte \d+: expected zstd frames/,
  });
});

for (const form of ['eStargz', 'zstd:chunked'] as const) {
  await test(`${form}: a large table is refused before it is hashed, if the thread has other work`, async (t) => {
    const many = Array.from({ length: 80_000 }, (_, i): TocFile => ({
      entry: { name: `a directory with a long name ${i}`, type: 'dir' },
    }));
    const { blob } = writeEstargz(many, { form });
    t.ok(blob.length < 2 << 20);
    const wrong = `sha256:${'0'.repeat(64)}`;
    await t.rejects(open(blob, wrong, new ImageEffort(true)), TooLargeHere);
    await t.rejects(open(blob, wrong), { code: 'BAD_CHECKSUM' });
    await t.resolves(open(writeEstargz(files, { form }).blob, null, new ImageEffort(true)));
  });
}
