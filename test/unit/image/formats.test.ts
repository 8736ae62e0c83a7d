// The table of formats: every supported nesting, the order of formats, and the reported problems.
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { test, type Test } from 'tap';
import { readFully } from '../../../daemon/blob/source.js';
import { throwProblem, type FormatProblem } from '../../../daemon/errors.js';
import type { ContentRules } from '../../../daemon/image/format.js';
import { openContent } from '../../../daemon/image/formats.js';
import { ReaderFactory } from '../../../daemon/image/reader-factory.js';
import type { SourceSpec } from '../../../daemon/image/spec.js';
import { UNBOUNDED } from '../../../daemon/lib/effort.js';
import { writeArchive } from '../../support/archive-writer.js';
import { textBytes } from '../../support/pattern.js';
import { unwrapped } from '../../support/unwrapped.js';
import { wrapTar } from '../../support/tar-writer.js';
import { writeZfile } from '../../support/zfile-writer.js';

const PLAIN = textBytes(1, 20_000);

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
  const rules: ContentRules = {
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
    bootstrapDigest: null,
  };
  const tools = { readers: new ReaderFactory(), effort: UNBOUNDED, sink: throwProblem };
  await t.rejects(openContent(inner, rules, tools), {
    code: 'UNSUPPORTED',
    message:
      'blob (ext4.fs.meta): gzipped files in the archive of a turboOCI layer, where an LSMT layer is expected',
  });
});
