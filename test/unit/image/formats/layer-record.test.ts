// What is kept of a layer, as bytes: tree, table and digests come back as they were.
import { closeSync, openSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { test } from 'tap';
import { ChunkDigester, type ChunkDigests } from '../../../../daemon/blob/chunk-digests.js';
import {
  decodeLayer,
  encodeLayer,
  recordKeyOf,
} from '../../../../daemon/image/formats/layer-record.js';
import { indexGzip } from '../../../../daemon/inflate/index-gzip.js';
import { UNBOUNDED } from '../../../../daemon/lib/effort.js';
import { packSections } from '../../../../daemon/lib/sections.js';
import type { PieceTable } from '../../../../daemon/pieces/piece-table.js';
import { ArchiveStream } from '../../../../daemon/tarball/archive-stream.js';
import type { LayerTree } from '../../../../daemon/tree/layer-tree.js';
import { archiveMember, paxRecord } from '../../../support/archive-writer.js';
import { MemorySource } from '../../../support/memory-source.js';
import { randomBytes } from '../../../support/pattern.js';
import { writeUstar } from '../../../support/ustar.js';

const pax = (...records: [key: string, value: string][]): Buffer =>
  archiveMember({
    name: 'pax',
    type: 'x',
    content: records.map(([key, value]) => paxRecord(key, value)).join(''),
  });
const plain = Buffer.concat([
  pax(['SCHILY.xattr.user.a', 'one'], ['SCHILY.xattr.user.b', ''], ['mtime', '-1.5']),
  writeUstar([
    { name: 'dir/', type: '5', mode: 0o1777 },
    { name: 'dir/f\u00e9', bytes: randomBytes(1, 3_000_000), uid: 5, gid: 6, mtime: 7 },
    { name: 'empty', bytes: Buffer.alloc(0) },
    { name: 'link', type: '2', link: 'dir/target' },
    { name: 'hard', type: '1', link: 'empty' },
    { name: 'null', type: '3', device: [1, 3] },
    { name: 'gone/.wh.x' },
  ]),
]);
const gzip = gzipSync(plain);
const digests = { blob: 'sha256:a', plain: 'sha256:b' };

async function read(): Promise<{ tree: LayerTree; table: PieceTable; isCopied: boolean }> {
  const archive = new ArchiveStream('blob');
  const table = await indexGzip(new MemorySource(gzip), UNBOUNDED, (bytes) => archive.add(bytes));
  return { tree: archive.finish(), table, isCopied: false };
}

function chunksOf(bytes: Buffer): ChunkDigests {
  const digester = new ChunkDigester(bytes.length);
  digester.update(bytes);
  return digester.digests;
}

const entries = (of: LayerTree | undefined): unknown[] =>
  Array.from({ length: of?.count ?? 0 }, (_, i) => of?.entry(i));

const edges = (head: string) => () =>
  Promise.resolve({ head: Buffer.from(head), tail: Buffer.from('tail') });

await test('a layer comes back', async (t) => {
  const { tree, table, isCopied } = await read();
  const chunks = chunksOf(gzip);
  const bytes = encodeLayer('tar.gz', gzip.length, { tree, table, digests, chunks, isCopied });
  const found = decodeLayer(bytes, 'tar.gz', gzip.length, 'again', true);
  t.ok(found?.chunks?.equals(chunks));
  t.same(found?.digests, digests);
  t.same(found?.table, table);
  t.equal(found?.tree.name, 'again');
  t.equal(found?.tree.sourceCount, tree.sourceCount);
  t.same(entries(found?.tree), entries(tree));
  t.equal(entries(tree).length, 7);
  t.equal(found?.tree.entry(0).xattrs?.size, 2);
  t.equal(found?.tree.columns.bytes, tree.columns.bytes);
  t.equal(decodeLayer(bytes, 'tar.zst', gzip.length, 'blob', false), null, 'another format');
  t.equal(decodeLayer(bytes, 'tar.gz', gzip.length + 1, 'blob', false), null, 'another size');
});

await test('a layer with a decoded copy', async (t) => {
  const bytes = encodeLayer('tar.zst', 99, {
    ...(await read()),
    digests,
    chunks: null,
    isCopied: true,
  });
  t.equal(decodeLayer(bytes, 'tar.zst', 99, 'blob', false)?.isCopied, true);
  t.equal(decodeLayer(bytes, 'tar.gz', 99, 'blob', false), null);
});

await test('facts of something else are none', (t) => {
  const digest = { blob: null, plain: null };
  for (const facts of [
    null,
    7,
    {},
    { format: 'tar', size: 1 },
    { format: 'tar', size: 1, digests: { ...digest, blob: 1 } },
  ]) {
    const bytes = packSections(facts, new Map());
    t.equal(decodeLayer(bytes, 'tar', 1, 'blob', false), null, JSON.stringify(facts));
  }
  const bytes = packSections({ format: 'tar', size: 1, digests: digest }, new Map());
  t.throws(() => decodeLayer(bytes, 'tar', 1, 'blob', false), { code: 'BAD_FORMAT' });
  t.end();
});

await test('a layer that is not compressed has no table', async (t) => {
  const { tree } = await read();
  const layer = { tree, table: null, digests, chunks: null, isCopied: false };
  const bytes = encodeLayer('tar', plain.length, layer);
  t.equal(decodeLayer(bytes, 'tar', plain.length, 'blob', false)?.table, null);
});

await test('a record of a blob of a registry has digests of all of its chunks', async (t) => {
  const { tree } = await read();
  const layer = { tree, table: null, digests, isCopied: false };
  const missing = { code: 'BAD_FORMAT', message: 'blob: section chunks: missing or damaged' };
  for (const chunks of [null, chunksOf(plain.subarray(0, 10))]) {
    const bytes = encodeLayer('tar', 2 ** 20, { ...layer, chunks });
    t.throws(() => decodeLayer(bytes, 'tar', 2 ** 20, 'blob', true), missing);
  }
  const local = encodeLayer('tar', 2 ** 20, { ...layer, chunks: null });
  t.equal(decodeLayer(local, 'tar', 2 ** 20, 'blob', false)?.chunks, null);
});

await test('what a record is named by', async (t) => {
  const path = join(t.testdir({ f: '' }), 'f');
  const fd = openSync(path, 'r');
  t.teardown(() => closeSync(fd));
  const raw = { kind: 'file', name: 'f', fd, base: 0, size: 2 ** 20 } as const;
  const file = { raw, key: '1:2:3:4', size: 2 ** 20, isDevice: false, edges: edges('head') };
  const key = await recordKeyOf(file);
  t.match(key, { kind: 'file', digits: /^[0-9a-f]{64}$/ });
  t.same(await recordKeyOf({ ...file }), key);
  for (const other of [{ key: '1:2:3:5' }, { size: 2 ** 21 }, { edges: edges('other') }]) {
    t.notSame(await recordKeyOf({ ...file, ...other }), key);
  }
  const { atime, mtime, ctimeMs } = statSync(path);
  // The time of a change has the step of the system's clock.
  while (statSync(path).ctimeMs === ctimeMs) utimesSync(path, atime, mtime);
  t.notSame(await recordKeyOf(file), key, 'changed in place, with the time set back');
  t.equal(await recordKeyOf({ ...file, size: 2 ** 20 - 1 }), null, 'too small');
  t.not(await recordKeyOf({ ...file, size: 2 ** 20 - 1 }, true), null, 'of a small one, too');
  t.equal(await recordKeyOf({ ...file, isDevice: true }), null);
  const state = new SharedArrayBuffer(0);
  const digits = 'ab'.repeat(32);
  const about = { name: 'b', digest: `sha256:${digits}`, size: 1, blob: 1, fd: -1, slotsFd: -1 };
  const blob = { ...file, size: 1, raw: { kind: 'cached', ...about, state } as const };
  t.same(await recordKeyOf(blob), { kind: 'layer', digits });
});
