// The table of formats: every supported nesting, the order of formats, and the reported problems.
import { createHash } from 'node:crypto';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { test, type Test } from 'tap';
import { ChunkMap } from '../../../../daemon/blob/chunk-map.js';
import { readFully } from '../../../../daemon/blob/source.js';
import { throwProblem, type FormatProblem } from '../../../../daemon/errors.js';
import type {
  ContentRules,
  LayerContent,
  OpenTools,
  Unwrapped,
} from '../../../../daemon/image/formats/format.js';
import { openContent, unwrap } from '../../../../daemon/image/formats/formats.js';
import { ReaderFactory } from '../../../../daemon/image/disks/reader-factory.js';
import type { SourceSpec } from '../../../../daemon/image/disks/spec.js';
import { UNBOUNDED } from '../../../../daemon/lib/effort.js';
import { writeArchive } from '../../../support/archive-writer.js';
import { writeLsmt } from '../../../support/lsmt-writer.js';
import { MemorySource } from '../../../support/memory-source.js';
import { randomBytes, textBytes } from '../../../support/pattern.js';
import { writeTarfs } from '../../../support/tarfs-writer.js';
import { unwrapped } from '../../../support/unwrapped.js';
import { wrapTar } from '../../../support/tar-writer.js';
import { writeZfile } from '../../../support/zfile-writer.js';

const PLAIN = textBytes(1, 20_000);

const RULES: ContentRules = {
  blob: { kind: 'memory', name: 'nothing', memory: new SharedArrayBuffer(0) },
  mayBeRaw: true,
  mayBeUpper: false,
  toc: null,
  needsToc: false,
  tocSource: null,
  objects: null,
  dataBlobs: null,
  ztoc: null,
  target: null,
  digests: null,
  reopen: () => Promise.reject(new Error('nothing is to be compared')),
  bootstrapDigest: null,
};

function specOf(t: Test, bytes: Buffer): SourceSpec {
  const path = join(t.testdir(), 'blob');
  writeFileSync(path, bytes);
  const fd = openSync(path, 'r');
  t.teardown(() => closeSync(fd));
  return { kind: 'file', name: 'blob', fd, base: 0, size: bytes.length };
}

await test('every nesting gives the same bytes, opened here or from its spec', async (t) => {
  const zfile = writeZfile(PLAIN, { algorithm: 'zstd', mode: 'trailer' });
  const cases: [string, Buffer][] = [
    ['blob', PLAIN],
    ['blob (zfile)', zfile],
    ['blob (in tar)', wrapTar(PLAIN, { pax: false })],
    ['blob (in tar) (zfile)', wrapTar(zfile, { pax: true })],
  ];
  for (const [name, bytes] of cases) {
    const blob = await unwrapped(specOf(t, bytes));
    t.equal(blob.source.name, name);
    t.equal(blob.tar !== null, name.includes('tar'));
    t.equal(blob.zfile !== null, name.includes('zfile'));
    t.ok((await readFully(blob.source, 0, blob.source.size)).equals(PLAIN), name);
    const spec = structuredClone(blob.spec);
    const again = new ReaderFactory().source(spec);
    t.equal(again.name, name);
    t.ok((await readFully(again, 0, again.size)).equals(PLAIN), `${name}, opened from its spec`);
  }
});

await test('each wrapper is removed once; anything deeper is content', async (t) => {
  const twice = writeZfile(writeZfile(PLAIN));
  const tars = wrapTar(wrapTar(PLAIN, { pax: false }), { pax: false });
  const swapped = writeZfile(wrapTar(PLAIN, { pax: false }));
  for (const [bytes, size] of [
    [twice, writeZfile(PLAIN).length],
    [tars, wrapTar(PLAIN, { pax: false }).length],
    [swapped, wrapTar(PLAIN, { pax: false }).length],
  ] as const) {
    const blob = await unwrapped(specOf(t, bytes));
    t.equal(blob.source.size, size);
  }
});

await test('a ZFile in trailer mode ends at the end of the tar member', async (t) => {
  const zfile = writeZfile(PLAIN, { mode: 'trailer' });
  t.not(zfile.length % 512, 0, 'there is padding after it');
  const blob = await unwrapped(specOf(t, wrapTar(zfile, { pax: true })));
  t.equal(blob.source.size, PLAIN.length);
});

await test('a bad digest is an error, not "not a ZFile"', async (t) => {
  const source = specOf(t, writeZfile(PLAIN, { header: { digest: 5 } }));
  await t.rejects(unwrapped(source), {
    code: 'BAD_CHECKSUM',
    message: /^blob: zfile header digest/,
  });
});

await test('with a sink, problems that leave the content readable do not end the opening', async (t) => {
  const found: FormatProblem[] = [];
  const sink = (problem: FormatProblem): void => void found.push(problem);
  const readable = specOf(t, writeZfile(PLAIN, { header: { digest: 5 } }));
  const blob = await unwrapped(readable, sink);
  t.equal(blob.source.size, PLAIN.length);
  t.equal(found.length, 1);
  const lost = specOf(t, writeZfile(PLAIN, { header: { algo: 9 } }));
  await t.rejects(unwrapped(lost, sink), { message: /^blob: zfile compression algorithm / });
  t.equal(found.length, 1);
});

await test('a tar is removed only if overlaybd made it', async (t) => {
  const plain = wrapTar(PLAIN, { pax: true, name: 'hello' });
  const blob = await unwrapped(specOf(t, plain));
  t.equal(blob.tar, null);
  t.equal(blob.source.size, plain.length);
  for (const pax of [false, true]) {
    const layer = writeZfile(PLAIN);
    const renamed = await unwrapped(specOf(t, wrapTar(layer, { pax, name: 'layer' })));
    t.equal(renamed.source.name, 'blob (in tar) (zfile)');
  }
});

await test('in the archive of a turboOCI layer nothing is opened that is decoded in pieces again', async (t) => {
  const files = gzipSync(writeArchive([{ name: 'etc/hosts', content: 'localhost' }]));
  const blob = gzipSync(writeArchive([{ name: 'ext4.fs.meta', content: files }]));
  const inner = await unwrapped(specOf(t, blob));
  t.equal(inner.source.size, files.length);
  const tools = { readers: new ReaderFactory(), effort: UNBOUNDED, sink: throwProblem };
  await t.rejects(openContent(inner, RULES, tools), {
    code: 'UNSUPPORTED',
    message:
      'blob (ext4.fs.meta): gzipped files in the archive of a turboOCI layer, where an LSMT layer is expected',
  });
});

async function contentOf(t: Test, bytes: Buffer): Promise<LayerContent> {
  const inner = await unwrapped(specOf(t, bytes));
  return openContent(inner, RULES, {
    readers: new ReaderFactory(),
    effort: UNBOUNDED,
    sink: throwProblem,
  });
}

await test('a damaged archive in gzip is no disk, whatever its size', async (t) => {
  const text = randomBytes(1, 20_000).toString('base64');
  for (const content of ['a small one', text.slice(0, 1500), text]) {
    const good = gzipSync(writeArchive([{ name: 'a', content }]));
    t.match(await contentOf(t, good), { kind: 'tree', format: 'tar.gz' });
    // The header has nothing that must be right after its first bytes.
    for (let at = 10; at < Math.min(good.length - 24, 400); at += 7) {
      const bad = Buffer.from(good);
      bad[at] = (bad[at] as number) ^ 0x10;
      await t.rejects(contentOf(t, bad), { message: /^blob/ }, `${good.length} bytes, at ${at}`);
    }
    for (const at of [good.length - 8, good.length - 1]) {
      const bad = Buffer.from(good);
      bad[at] = (bad[at] as number) ^ 1;
      await t.rejects(contentOf(t, bad), { code: 'BAD_DATA', message: /^blob: gzip at byte/ });
    }
  }
});

await test('a header of gzip may be long', async (t) => {
  const packed = gzipSync(writeArchive([{ name: 'a', content: 'text' }]));
  const extra = Buffer.alloc(2 + 60_000);
  extra.writeUInt16LE(60_000);
  const head = Buffer.from(packed.subarray(0, 10));
  head[3] = 4;
  const blob = Buffer.concat([head, extra, packed.subarray(10)]);
  t.match(await contentOf(t, blob), { kind: 'tree', format: 'tar.gz' });
});

await test('archives in gzip without files', async (t) => {
  for (const size of [0, 512, 1024, 5120, 1 << 20]) {
    const content = await contentOf(t, gzipSync(Buffer.alloc(size)));
    t.match(content, { kind: 'tree', format: 'tar.gz', tree: { count: 0 } }, `${size} bytes`);
  }
});

await test('a disk in gzip is refused', async (t) => {
  for (const size of [600, 1 << 20]) {
    await t.rejects(contentOf(t, gzipSync(randomBytes(1, size))), {
      code: 'BAD_FORMAT',
      message:
        'blob: it begins as a gzip file does, and has no archive of files inside: unpack or convert it first',
    });
  }
  await t.rejects(contentOf(t, gzipSync(Buffer.from('text'))), { code: 'BAD_FORMAT' });
});

await test('an archive of tarfs without files is no disk', async (t) => {
  const { bytes } = writeTarfs([{ path: '', mode: 0o040755 }]);
  const content = await contentOf(t, bytes);
  t.match(content, { kind: 'tree', format: /^tarfs, / });
  const disk = writeTarfs([{ path: '', mode: 0 }]).bytes;
  t.match(await contentOf(t, disk), { kind: 'raw' }, 'its first inode is no directory');
});

/** A blob as a registry has it, whose bytes are at hand. */
function remote(bytes: Buffer): { inner: Unwrapped; tools: OpenTools } {
  const source = new MemorySource(bytes);
  const { length: size } = bytes;
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  const { state } = ChunkMap.create(size);
  const about = { name: 'blob', digest, size, blob: 7, fd: -1, slotsFd: -1, state };
  const readers = new ReaderFactory(() => ({
    want: () => Promise.resolve(),
    hint: () => undefined,
    refetch: () => Promise.resolve(),
    drop: () => undefined,
  }));
  readers.source = () => source;
  return {
    inner: { spec: { kind: 'cached', ...about }, source, tar: null, zfile: null },
    tools: { readers, effort: UNBOUNDED, sink: throwProblem },
  };
}

await test('zeros of any size are a layer without files in a registry, and nowhere else', async (t) => {
  const rules = { ...RULES, mayBeRaw: false };
  for (const size of [512, 5120, 1 << 20]) {
    const { inner, tools } = remote(Buffer.alloc(size));
    const reopen = (): Promise<Unwrapped> => Promise.resolve(inner);
    const content = await openContent(inner, { ...rules, reopen }, tools);
    t.match(content, { kind: 'tree', format: 'tar', tree: { count: 0 } });
    const local = await unwrapped(specOf(t, Buffer.alloc(size)));
    await t.rejects(openContent(local, rules, tools), {
      code: 'BAD_FORMAT',
      message:
        'blob: neither an LSMT layer nor an archive of files: no such header: it begins with the bytes 0000000000000000',
    });
  }
  const { inner, tools } = remote(randomBytes(1, 5120));
  await t.rejects(openContent(inner, rules, tools), { code: 'BAD_FORMAT' });
});

const ZSTD_MAGIC = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);

function filled(begin: Buffer, size: number): Buffer {
  return Buffer.concat([begin, Buffer.alloc(size)]).subarray(0, size);
}

function diskOf(uuid: string): Buffer {
  return writeLsmt({
    uuid,
    virtualSize: 1 << 20,
    segments: [{ offset: 0, length: 8, data: randomBytes(1, 4096) }],
  });
}

await test('of a forged layer nothing is kept that was read before its bytes were compared', async (t) => {
  const disk = diskOf('right');
  const other = diskOf('forged');
  const archive = gzipSync(writeArchive([{ name: 'a', content: 'text' }]));
  const wrapped = writeArchive([{ name: 'overlaybd.commit', content: writeZfile(disk) }]);
  // Still an archive, whose bytes have their digest when all of it is read.
  const renamed = Buffer.from(writeArchive([{ name: 'nverlaybd.commit', content: 'text' }]));
  const cases: [what: string, right: Buffer, forged: Buffer, kind: string, times?: number][] = [
    ['wrappers', writeZfile(disk), writeZfile(other), 'lsmt'],
    ['a wrapper that is none', disk, writeZfile(other), 'lsmt'],
    ['the format', archive, other, 'tree'],
    ['the format of an archive', wrapped, filled(renamed, wrapped.length), 'lsmt', 2],
    ['the compression of an archive', archive, filled(ZSTD_MAGIC, archive.length), 'tree'],
    ['an archive that is a layer', disk, filled(archive, disk.length), 'lsmt', 2],
  ];
  for (const [what, right, forged, kind, times = 1] of cases) {
    const { inner: bare, tools } = remote(right);
    const reads = { ...bare, source: new MemorySource(forged) };
    const inner = await unwrap(reads, tools);
    const blob = `sha256:${createHash('sha256').update(right).digest('hex')}`;
    let reopened = 0;
    const rules = {
      ...RULES,
      mayBeRaw: false,
      needsToc: true,
      digests: { blob, plain: null },
      reopen: () => {
        reopened++;
        return unwrap(bare, tools);
      },
    };
    const content = await openContent(inner, rules, tools);
    t.equal(reopened, times, what);
    t.equal(content.kind, kind, what);
    if (content.kind === 'lsmt') t.equal(content.header.uuid, 'right', what);
  }
});
