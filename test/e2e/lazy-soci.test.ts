// Layers with a ztoc (SOCI) that its own tool has written, opened as `serve` does: their trees are what is expected, in
// every field, and damaged ones end as they must.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import tap, { test } from 'tap';
import { compareTrees } from '../support/compare-trees.js';
import { DaemonProcess, runDaemon, shortFolder } from '../support/daemon-process.js';
import { treeOfDevice } from '../support/erofs/tree-of-device.js';
import { withLoopMount } from '../support/fuse-loop.js';
import { withDevice } from '../support/in-process.js';
import { expectedTree, requireLazyFixtures } from '../support/lazy-fixtures.js';
import { requireTool } from '../support/tools.js';

tap.setTimeout(300_000);

const TREES: [fixture: string, blob: string][] = [
  ['f20-soci', 'layer.tar.gz'],
  ['f22-soci-uncompressed', 'layer.tar'],
  ['f23-soci-zinfo-v1', 'layer.tar.gz'],
];

function besideOf(...ztocs: (string | null)[]) {
  return { tocBlob: null, tocDigest: null, ztocs };
}

for (const [fixture, blob] of TREES) {
  await test(fixture, async (t) => {
    const root = requireLazyFixtures(t);
    if (root === null) return;
    const beside = besideOf(join(root, fixture, 'layer.ztoc'));
    await withDevice(
      [join(root, fixture, blob)],
      async ({ device }) => {
        const { lines, broken } = await treeOfDevice(device);
        t.equal(broken.size, 0);
        compareTrees(t, lines, expectedTree(root, fixture, 'expected.tree.jsonl'));
      },
      beside,
    );
  });
}

const REFUSED: [fixture: string, message: RegExp][] = [
  [
    'neg-21-soci-zinfo-count',
    /layer\.ztoc: ztoc: checkpoints at byte 0: expected the number of checkpoints/,
  ],
  [
    'neg-24-soci-bits',
    /layer\.ztoc: ztoc: checkpoints at byte 32813: expected bits of checkpoint 1: at most 7, got 9/,
  ],
  ['neg-25-soci-cut', /layer\.ztoc: ztoc at byte \d+: expected a table within the 134576 bytes/],
];

for (const [fixture, message] of REFUSED) {
  await test(fixture, async (t) => {
    const root = requireLazyFixtures(t);
    if (root === null) return;
    const beside = besideOf(join(root, fixture, 'layer.ztoc'));
    const layer = join(root, fixture, 'layer.tar.gz');
    const opened = withDevice([layer], () => null, beside);
    await t.rejects(opened, { code: 'BAD_FORMAT', message });
  });
}

/** Damaged spans: the piece, and how many files have bytes in it. */
const BROKEN: [fixture: string, piece: number][] = [
  ['neg-20-soci-span-digest', 7],
  ['neg-27-soci-layer-bit', 2],
];

for (const [fixture, piece] of BROKEN) {
  await test(`${fixture}: reads of the span fail, others do not`, async (t) => {
    const root = requireLazyFixtures(t);
    if (root === null) return;
    const folder = join(root, fixture);
    const words = [join(folder, 'layer.tar.gz'), '--ztoc', join(folder, 'layer.ztoc')];
    const message = new RegExp(
      `layer\\.tar\\.gz: piece ${piece} at byte \\d+: expected the digest`,
    );
    const verified = await runDaemon(['verify', ...words]);
    t.equal(verified.code, 1);
    t.match(verified.stdout, message);
    t.match(verified.stdout, /bad: 1 problem/);
    await withDevice(
      [words[0] as string],
      async ({ device }) => {
        const { lines, broken } = await treeOfDevice(device);
        for (const error of broken.values()) t.match(error, { code: 'BAD_CHECKSUM', message });
        t.ok(lines.length > 20, `${lines.length} lines`);
        // The last span has the end of the archive, and no file.
        t.equal(broken.size > 0, piece === 2);
      },
      besideOf(words[2] as string),
    );
  });
}

await test('neg-27: the kernel reads the files of other spans', async (t) => {
  const root = requireLazyFixtures(t);
  if (root === null || !requireTool(t, 'nbdfuse', 'fusermount3', 'mount')) return;
  const folder = join(root, 'neg-27-soci-layer-bit');
  const words = [join(folder, 'layer.tar.gz'), '--ztoc', join(folder, 'layer.ztoc')];
  const daemon = await DaemonProcess.start(t, words);
  await withLoopMount(t, daemon.socketPath, shortFolder(t), async (dir) => {
    const sizes = join(dir, 'sizes');
    for (const name of readdirSync(sizes)) {
      if (name === 's32768') continue;
      const read = readFile(join(sizes, name));
      if (name === 's65537') await t.rejects(read, { code: 'EIO' });
      else await t.resolves(read, name);
    }
    // Its first 6 pages are in other spans.
    const file = await open(join(sizes, 's32768'));
    const page = Buffer.alloc(4096);
    t.equal((await file.read(page, 0, 4096, 5 * 4096)).bytesRead, 4096);
    await t.rejects(file.read(page, 0, 4096, 6 * 4096), { code: 'EIO' });
    await file.close();
  });
  const lines = await daemon.waitForLines(/read of .* failed: .*; files? .*"sizes\/s65537".* of /);
  t.match(lines[0], /layer\.tar\.gz/);
  await daemon.stop(t);
});

await test('neg-23-soci-window: only the digest of the ztoc shows it', async (t) => {
  const root = requireLazyFixtures(t);
  if (root === null) return;
  const folder = join(root, 'neg-23-soci-window');
  const words = [join(folder, 'layer.tar.gz'), '--ztoc', join(folder, 'layer.ztoc')];
  const inspected = await runDaemon(['inspect', ...words]);
  t.equal(inspected.code, 0);
  t.match(inspected.stdout, /its ztoc is not verified: nothing says which digest it must have/);
  const digest = 'sha256:298a5527bbab8eb805bf4804dfac87109b75863d8d81e291a7007ee3e155b375';
  const refused = await runDaemon(['inspect', ...words, '--toc-digest', digest]);
  t.equal(refused.code, 1);
  t.match(refused.stderr, `expected the digest ${digest}, got sha256:`);
  const good = join(root, 'f20-soci');
  const bytes = readFileSync(join(good, 'layer.ztoc'));
  const right = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  const verified = await runDaemon([
    'verify',
    join(good, 'layer.tar.gz'),
    '--ztoc',
    join(good, 'layer.ztoc'),
    '--toc-digest',
    right,
  ]);
  t.equal(verified.code, 0, verified.stdout + verified.stderr);
  t.notMatch(verified.stdout, /not verified/);
});

await test('several layers, one of them without a ztoc; options that do not fit', async (t) => {
  const root = requireLazyFixtures(t);
  if (root === null) return;
  const gzip = join(root, 'f20-soci/layer.tar.gz');
  const ztoc = join(root, 'f20-soci/layer.ztoc');
  const tar = join(root, 'f22-soci-uncompressed/layer.tar');
  const inspected = await runDaemon(['inspect', tar, gzip, '--ztoc', 'none', '--ztoc', ztoc]);
  t.equal(inspected.code, 0, inspected.stderr);
  t.match(
    inspected.stdout,
    /files \(tar, by its first header\)[\s\S]*files \(SOCI, by a ztoc of version "0\.9", gzip, 9 spans/,
  );
  const empty = join(t.testdir(), 'empty');
  writeFileSync(empty, '');
  const cases: [words: string[], code: number, message: RegExp][] = [
    [[tar, gzip, '--ztoc', ztoc], 2, /2 layers and 1 ztoc/],
    [[gzip, '--ztoc', ''], 2, /--ztoc: needs a value/],
    [[`oci:${root}`, '--ztoc', ztoc], 2, /--ztoc: only for layers that are given as files/],
    [
      [gzip, gzip, '--ztoc', ztoc, '--ztoc', 'none'],
      2,
      /this layer is given twice, with different ztocs/,
    ],
    [[gzip, '--ztoc', '/proc/nonexistent'], 1, /\/nonexistent/],
    [
      [gzip, '--ztoc', empty],
      1,
      /ztoc at byte 0: expected the offset of a table within the 0 bytes/,
    ],
    [
      [tar, '--ztoc', ztoc],
      1,
      /expected a ztoc of \S+layer\.tar, which has 839680 bytes, got 130372/,
    ],
    [[gzip, '--ztoc', ztoc, '--toc-blob', ztoc], 1, /not eStargz or zstd:chunked/],
  ];
  for (const [words, code, message] of cases) {
    const got = await runDaemon(['inspect', ...words]);
    t.equal(got.code, code, words.join(' '));
    t.match(got.stdout + got.stderr, message);
  }
});
