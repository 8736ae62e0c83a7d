// What verify finds: every problem of every layer. Any bytes: test/property/verify.test.ts.
import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import t, { type Test } from 'tap';
import { MAX_LISTED } from '../../../daemon/inspect/problem-list.js';
import { renderReport } from '../../../daemon/inspect/render-report.js';
import { verifyImage, type VerifyReport } from '../../../daemon/inspect/verify-image.js';
import { NO_REMOTE, type RemoteImages } from '../../../daemon/registry/remote.js';
import { writeLsmt, writeLsmtRaw } from '../../support/lsmt-writer.js';
import { randomBytes, textBytes } from '../../support/pattern.js';
import { wrapTar } from '../../support/tar-writer.js';
import { appendUpper, writeSparseUpper } from '../../support/upper-writer.js';
import { writeUstar } from '../../support/ustar.js';
import { writeZfile } from '../../support/zfile-writer.js';

const VIRTUAL_SIZE = 1 << 20;
const layer = (seed: number): Buffer =>
  writeLsmt({
    virtualSize: VIRTUAL_SIZE,
    segments: [
      { offset: seed, length: 300, data: textBytes(seed, 300 * 512) },
      { offset: 1000, length: 10, zeroed: true },
      { offset: 1100, length: 100, data: randomBytes(seed, 100 * 512) },
    ],
  });

function verify(paths: string[], signal = new AbortController().signal): Promise<VerifyReport> {
  return verifyImage(paths, { signal, progress: () => undefined });
}

function files(test: Test, blobs: Record<string, Uint8Array>): string[] {
  const folder = test.testdir();
  return Object.entries(blobs).map(([name, bytes]) => {
    writeFileSync(join(folder, name), bytes);
    return join(folder, name);
  });
}

function configOf(test: Test, config: object): string {
  const path = join(test.testdirName, 'config.v1.json');
  writeFileSync(path, JSON.stringify(config));
  return path;
}

await t.test('good images have no problems', async (test) => {
  const blobs = {
    plain: layer(1),
    zfile: writeZfile(layer(2)),
    tar: wrapTar(writeZfile(layer(3), { algorithm: 'zstd', mode: 'trailer' }), { pax: true }),
  };
  const paths = files(test, blobs);
  const steps: number[] = [];
  const report = await verifyImage([...paths, paths[1] as string], {
    signal: new AbortController().signal,
    progress: (done) => steps.push(done),
  });
  test.match(report, { good: true, problemCount: 0, problems: [], interrupted: false });
  test.equal(report.layers.length, 4);
  test.equal(report.totalBytes, 400 * 512 + 2 * layer(2).length, 'a blob is read once');
  test.equal(report.checkedBytes, report.totalBytes);
  test.equal(steps.at(-1), report.totalBytes);
  test.match(
    renderReport(report),
    /^\S+ and 3 more: good: 4 layers; \S+ KiB checked in \S+ s.*\n$/,
  );
});

await t.test('raw disk images are read completely', async (test) => {
  const raw = textBytes(1, 100_000);
  const [plain, zfile] = files(test, { plain: raw, zfile: writeZfile(raw) });
  for (const path of [plain, zfile]) {
    const report = await verify([path as string]);
    test.match(report, { good: true, totalBytes: 100_000, checkedBytes: 100_000 });
    test.match(report.notes, [/raw disk image/]);
  }
});

await t.test('uppers are verified', async (test) => {
  const upper = appendUpper({
    virtualSize: VIRTUAL_SIZE,
    writes: [0, 4, 2].map((offset) => ({ offset, length: 8, data: textBytes(1, 4096) })),
  });
  const [, data, index] = files(test, { lower: layer(1), data: upper.data, index: upper.index });
  writeSparseUpper(join(test.testdirName, 'sparse'), join(test.testdirName, 'empty'), {
    virtualSize: VIRTUAL_SIZE,
    writes: [{ offset: 8, length: 8, data: textBytes(1, 4096) }],
  });
  const lowers = [{ file: 'lower' }];
  const append = configOf(test, { lowers, upper: { data: 'data', index: 'index' } });
  test.match(await verify([append]), {
    good: true,
    layers: [{ role: 'lower' }, { role: 'upper' }],
  });
  for (const half of [data, index]) {
    test.match(await verify([half as string]), {
      good: false,
      problems: [{ code: 'UNSUPPORTED' }],
    });
  }
  // 16 of its sectors are mapped, although 24 were written.
  test.equal((await verify([append])).totalBytes, (400 + 12) * 512);

  truncateSync(data as string, 4096 + 20 * 512);
  const cut = await verify([append]);
  test.match(cut, { good: false, problemCount: 1, problems: [{ layer: 1 }] });
  test.match(cut.problems[0]?.message, /index: lsmt index entry 2 moffset .* got 24 to 32/);

  const sparse = configOf(test, { lowers, upper: { data: 'sparse', index: 'empty' } });
  test.match(await verify([sparse]), { good: true, layers: [{}, { problemCount: 0 }] });
});

await t.test('every problem of every layer is found', async (test) => {
  const badIndex = writeLsmtRaw({
    virtualSize: VIRTUAL_SIZE,
    data: Buffer.alloc(5120),
    entries: [
      { offset: 10, length: 5, moffset: 8, zeroed: false, tag: 0 },
      { offset: 12, length: 5, moffset: 8, zeroed: false, tag: 0 },
      { offset: 20, length: 5, moffset: 100, zeroed: false, tag: 0 },
      { offset: 30, length: 5, moffset: 0, zeroed: true, tag: 0 },
      { offset: 40, length: 5, moffset: 8, zeroed: false, tag: 0 },
    ],
  });
  const badBlocks = writeZfile(layer(1));
  // The middle of the file, not LSMT's header or trailer.
  badBlocks.fill(0xff, badBlocks.length >> 1, (badBlocks.length >> 1) + 100);
  const badHeader = writeZfile(layer(2));
  badHeader[200] = 1;
  // Its first block, with the LSMT header, cannot be read: only the block is reported.
  const badStart = writeZfile(layer(3));
  badStart[515] = (badStart[515] as number) ^ 1;
  const noTrailer = layer(4);
  noTrailer.fill(0, noTrailer.length - 4096);
  const blobs = { good: layer(5), badIndex, badBlocks, badHeader, badStart, noTrailer };
  const report = await verify(files(test, blobs));
  test.equal(report.good, false);
  test.same(
    report.layers.map(({ problemCount }) => problemCount),
    [0, 3, 1, 1, 1, 1],
  );
  const expected: [number, RegExp][] = [
    [1, /badIndex: lsmt index entry 1 offset .* sector 15 or later, got 12$/],
    [1, /badIndex: lsmt index entry 2 moffset .* got 100 to 105$/],
    [1, /badIndex: lsmt index entry 3 moffset \(zeroed\) .* got 0$/],
    [3, /badHeader: zfile header digest at byte 28/],
    [5, /noTrailer: lsmt trailer magic/],
    [2, /badBlocks \(zfile\): blocks? \d+.* checksum/],
    [4, /badStart \(zfile\): block 0 at byte 512: expected checksum/],
  ];
  test.match(
    report.problems.map(({ layer: number, message }) => [number, message]),
    expected,
  );
  const lines = renderReport(report).split('\n');
  test.equal(lines.length, 9, 'seven problems, the summary, the end');
  test.match(lines[7], /: bad: 7 problems in 5 of 6 layers; /);
});

await t.test('problems of the whole image are found', async (test) => {
  const [path] = files(test, { blob: writeLsmt({ virtualSize: 0, segments: [] }) });
  test.match(await verify([path as string]), {
    problems: [{ layer: null, message: /no layer gives a virtual size/ }],
  });
  const config = configOf(test, { lowers: [{ file: 'blob', targetFile: 'x' }] });
  test.match(await verify([config]), { good: false, problems: [{ code: 'NOT_FOUND' }] });
  test.match(await verify([join(test.testdirName, 'no')]), { problems: [{ code: 'NOT_FOUND' }] });
  await test.rejects(verify([config, config]), { code: 'BAD_ARGUMENT' });
  const [empty] = files(test, { empty: Buffer.alloc(0) });
  test.match(await verify([empty as string]), { problems: [{ message: /empty: empty$/ }] });
});

await t.test('the number of kept problems is bounded', async (test) => {
  const entry = { offset: 0, length: 1, moffset: 0, zeroed: false, tag: 0 };
  const blob = writeLsmtRaw({
    virtualSize: VIRTUAL_SIZE,
    data: Buffer.alloc(0),
    entries: Array.from({ length: 5000 }, (_, i) => ({ ...entry, offset: i })),
  });
  const report = await verify(files(test, { blob }));
  test.equal(report.problemCount, 5000);
  test.equal(report.problems.length, MAX_LISTED);
  test.match(
    renderReport(report),
    new RegExp(`\nand ${5000 - MAX_LISTED} more\n.*bad: 5000 problems`),
  );
});

await t.test('verify can be interrupted', async (test) => {
  const paths = files(test, { one: writeZfile(layer(1)), two: writeZfile(layer(2)) });
  const report = await verify(paths, AbortSignal.abort());
  test.match(report, { good: false, interrupted: true, problemCount: 0, checkedBytes: 0 });
  test.match(renderReport(report), /: interrupted: no problem so far; /);
});

await t.test(
  'a layer that is read as a whole when it is opened is not read to its end',
  async (test) => {
    const archive = writeUstar([{ name: 'noise', bytes: randomBytes(1, 24_000_000) }]);
    const [path = ''] = files(test, { 'layer.tar.gz': gzipSync(archive, { level: 1 }) });
    const abort = new AbortController();
    const steps: number[] = [];
    const progress = (done: number): void => {
      steps.push(done);
      if (done > 0) abort.abort();
    };
    const report = await verifyImage([path], { signal: abort.signal, progress });
    test.match(report, { name: path, good: false, interrupted: true, problemCount: 0, layers: [] });
    test.ok((steps.at(-1) as number) < 12_000_000, `${steps.at(-1)} bytes`);
  },
);

await t.test(
  'an interrupted check does not wait for a registry that does not answer',
  async (test) => {
    const silent = { resolve: () => new Promise(() => undefined) } as unknown as RemoteImages;
    const abort = new AbortController();
    setImmediate(() => abort.abort());
    const report = await verifyImage(['registry.example/app:1'], {
      remote: { ...NO_REMOTE, images: () => silent },
      signal: abort.signal,
      progress: () => undefined,
    });
    test.match(report, { good: false, interrupted: true, problemCount: 0, layers: [] });
    test.equal(report.name, 'registry.example/app:1');
  },
);

await t.test(
  'verify can be interrupted between layers that take a few milliseconds each',
  async (test) => {
    const blobs = Array.from(
      { length: 100 },
      (_, i) => [`${i}`, writeZfile(layer(i + 1))] as const,
    );
    const paths = files(test, Object.fromEntries(blobs));
    const abort = new AbortController();
    const report = await verifyImage(paths, {
      signal: abort.signal,
      progress: () => {
        setImmediate(() => abort.abort());
        for (const end = performance.now() + 5; performance.now() < end;);
      },
    });
    test.match(report, { good: false, interrupted: true, problemCount: 0 });
    test.ok(report.checkedBytes < report.totalBytes);
  },
);

await t.test('holes of a sparse raw disk image are not read', async (test) => {
  const [path = ''] = files(test, { raw: randomBytes(1, 1 << 20) });
  // Reading everything would take hours.
  const size = 2 ** 43;
  truncateSync(path, size);
  const report = await verify([path]);
  test.match(report, { good: true, checkedBytes: size, totalBytes: size, problemCount: 0 });
});

await t.test('a raw disk image that is cut during the check is a problem', async (test) => {
  const [path = ''] = files(test, { raw: randomBytes(1, 8 << 20) });
  let isCut = false;
  const report = await verifyImage([path], {
    signal: new AbortController().signal,
    progress: () => {
      if (!isCut) truncateSync(path, 2 << 20);
      isCut = true;
    },
  });
  test.equal(report.good, false);
  test.match(report.problems[0], { code: 'SHORT_READ', message: /the file ends after/ });
});

await t.test(
  'an archive of a whole image that is given as a layer has the note of serve',
  async (test) => {
    const [saved = '', layout = ''] = files(test, {
      'saved.tar': writeUstar([{ name: 'manifest.json' }, { name: 'repositories' }]),
      'layout.tar': writeUstar([{ name: 'oci-layout' }, { name: 'index.json' }]),
    });
    const { good, notes } = await verify([saved]);
    test.equal(good, true);
    const form = `for the image in it, docker-archive:${saved}`;
    test.equal(notes.filter((note) => note.endsWith(form)).length, 1, notes.join());
    const other = await verify([layout]);
    test.match(other.notes.join(), /an OCI archive: for the image in it, unpack it, then oci:DIR/);
  },
);
