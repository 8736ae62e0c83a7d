// Blobs of eStargz, stargz and zstd:chunked that their own tools have written, opened as `serve` does: their trees are
// what is expected, in every field, and damaged ones end as they must.
import { readdirSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import tap, { test } from 'tap';
import { inspectImage } from '../../daemon/inspect/inspect-image.js';
import { DaemonProcess, runDaemon, shortFolder } from '../support/daemon-process.js';
import { asMounted, folderTree } from '../support/folder-tree.js';
import { withLoopMount } from '../support/fuse-loop.js';
import { requireTool } from '../support/tools.js';
import { compareTrees } from '../support/compare-trees.js';
import { treeOfDevice } from '../support/erofs/tree-of-device.js';
import { withDevice } from '../support/in-process.js';
import { expectedTree, requireLazyFixtures } from '../support/lazy-fixtures.js';

tap.setTimeout(300_000);

const TREES: [fixture: string, blob: string][] = [
  ['f10-estargz', 'layer.tar.gz'],
  ['f11-estargz-prefetch-chunk64k', 'layer.tar.gz'],
  ['f14-stargz-legacy', 'layer.tar.gz'],
  ['f16-zstdchunked-stargz', 'layer.tar.zst'],
  ['f18-zstdchunked-storage-new', 'layer.tar.zst'],
];

for (const [fixture, blob] of TREES) {
  await test(fixture, async (t) => {
    const root = requireLazyFixtures(t);
    if (root === null) return;
    await withDevice([join(root, fixture, blob)], async ({ device }) => {
      const { lines, broken } = await treeOfDevice(device);
      t.equal(broken.size, 0);
      compareTrees(t, lines, expectedTree(root, fixture, 'expected.tree.jsonl'));
    });
  });
}

const REFUSED: [fixture: string, blob: string, code: string, message: RegExp][] = [
  [
    'neg-01-estargz-footer-cut',
    'layer.tar.gz',
    'BAD_DATA',
    /gzip at byte 21171: expected a whole gzip member, got the end of the blob$/,
  ],
  ['neg-02-estargz-toc-offset', 'layer.tar.gz', 'BAD_FORMAT', /footer at byte \d+: .* below 21130/],
  [
    'neg-03-estargz-footer-hex',
    'layer.tar.gz',
    'BAD_FORMAT',
    /footer at byte \d+: expected 16 hex/,
  ],
  [
    'neg-07-estargz-hardlink-loop',
    'layer.tar.gz',
    'BAD_FORMAT',
    /hard links that lead to each other$/,
  ],
  [
    'neg-08-estargz-hardlink-missing',
    'layer.tar.gz',
    'BAD_FORMAT',
    /a hard link to "does\/not\/exist"/,
  ],
  [
    'neg-10-estargz-huge-size',
    'layer.tar.gz',
    'LIMIT',
    /entry "sizes\/s4097" .* a file of more than 2\^53 bytes/,
  ],
  ['neg-11-estargz-toc-type', 'layer.tar.gz', 'BAD_FORMAT', /expected the list of entries, got/],
  [
    'neg-15-zstdchunked-huge-manifest',
    'layer.tar.zst',
    'LIMIT',
    /footer .* at most 157286400 bytes, got 1099511627776$/,
  ],
];

for (const [fixture, blob, code, message] of REFUSED) {
  await test(fixture, async (t) => {
    const root = requireLazyFixtures(t);
    if (root === null) return;
    const opened = withDevice([join(root, fixture, blob)], () => undefined);
    await t.rejects(opened, { code, message });
  });
}

await test('neg-13-zstdchunked-magic: an archive in zstd, and not zstd:chunked', async (t) => {
  const root = requireLazyFixtures(t);
  if (root === null) return;
  const blob = join(root, 'neg-13-zstdchunked-magic', 'layer.tar.zst');
  t.match(await inspectImage([blob], false), /^ {2}content {9}files \(tar\.zst[,)]/m);
});

await test('neg-05-estargz-chunk-bit: one file cannot be read, the others can', async (t) => {
  const root = requireLazyFixtures(t);
  if (root === null) return;
  const fixture = join(root, 'neg-05-estargz-chunk-bit');
  await withDevice([join(fixture, 'layer.tar.gz')], async ({ device }) => {
    const { lines, broken } = await treeOfDevice(device);
    // sizes/s4097 has two pages.
    t.equal(broken.size, 2);
    for (const error of broken.values()) {
      t.match(error, {
        code: /^(?:BAD_CHECKSUM|BAD_DATA)$/,
        message: /layer\.tar\.gz: piece 1 at byte 328: expected/,
      });
    }
    const bad = lines.find(({ path }) => path === '/sizes/s4097');
    t.ok(bad);
    t.ok(lines.length > 5);
  });
});

await test('neg-05: the kernel reads the other files; verify names the one that is bad', async (t) => {
  const root = requireLazyFixtures(t);
  if (root === null) return;
  const blob = join(root, 'neg-05-estargz-chunk-bit/layer.tar.gz');
  const verified = await runDaemon(['verify', blob]);
  t.equal(verified.code, 1);
  t.match(verified.stdout, /piece 1 at byte 328: .*; file "sizes\/s4097"/);
  t.match(verified.stdout, /bad: 1 problem/);
  if (!requireTool(t, 'nbdfuse', 'fusermount3', 'mount')) return;
  const daemon = await DaemonProcess.start(t, [blob]);
  await withLoopMount(t, daemon.socketPath, shortFolder(t), async (dir) => {
    for (const name of readdirSync(join(dir, 'sizes'))) {
      const read = readFile(join(dir, 'sizes', name));
      if (name === 's4097') await t.rejects(read, { code: 'EIO' });
      else await t.resolves(read, name);
    }
  });
  const [line] = await daemon.waitForLines(/read of .* failed: /);
  t.match(line, /: piece 1 at byte 328: .*; files? .*"sizes\/s4097".* of .*layer\.tar\.gz/);
  await daemon.stop(t);
});

await test('f13-estargz-external-toc: the table of contents is another file', async (t) => {
  const root = requireLazyFixtures(t);
  if (root === null) return;
  const fixture = join(root, 'f13-estargz-external-toc');
  const layer = join(fixture, 'layer.tar.gz');
  const beside = ['--toc-blob', join(fixture, 'layer.tar.gz.toc.tar.gz')];
  const { tocDigest } = JSON.parse(readFileSync(join(fixture, 'info.json'), 'utf8')) as {
    tocDigest: string;
  };
  const without = await runDaemon(['inspect', layer]);
  t.equal(without.code, 1);
  t.match(without.stderr, /table of contents is in another blob: name it with --toc-blob/);
  const verified = await runDaemon(['verify', layer, ...beside, '--toc-digest', tocDigest]);
  t.equal(verified.code, 0, verified.stdout);
  t.notMatch(verified.stdout, /not verified/);
  const other = `sha256:${'0'.repeat(64)}`;
  const wrong = await runDaemon(['inspect', layer, ...beside, '--toc-digest', other]);
  t.equal(wrong.code, 1);
  t.match(wrong.stderr, /expected the digest sha256:0{64}, got sha256:/);
  if (!requireTool(t, 'nbdfuse', 'fusermount3', 'mount', 'python3')) return;
  const daemon = await DaemonProcess.start(t, [layer, ...beside]);
  await withLoopMount(t, daemon.socketPath, shortFolder(t), async (dir) => {
    const expected = expectedTree(fixture, 'expected.tree.jsonl');
    compareTrees(t, await folderTree(dir), asMounted(expected));
  });
  await daemon.stop(t);
});

await test('options about tables of contents that do not fit', async (t) => {
  const root = requireLazyFixtures(t);
  if (root === null) return;
  const tar = join(root, 'f03-tar-pax/layer.tar');
  const estargz = join(root, 'f11-estargz-prefetch-chunk64k/layer.tar.gz');
  const digest = ['--toc-digest', `sha256:${'0'.repeat(64)}`];
  const cases: [words: string[], code: number, message: RegExp][] = [
    [[tar, ...digest], 1, /a table of contents is named for it, but it is not eStargz or zstd/],
    [[estargz, '--toc-blob', tar], 1, /its table of contents is in the layer/],
    [[estargz, ...digest], 1, /expected the digest sha256:0{64}/],
    [[estargz, '--toc-blob', '/proc/nonexistent'], 1, /\/nonexistent/],
    [[estargz, estargz, ...digest], 2, /only for a single layer that is given as a file/],
    [[estargz, '--toc-digest', 'x'], 2, /"sha256:" and 64 digits/],
  ];
  for (const [words, code, message] of cases) {
    const got = await runDaemon(['inspect', ...words]);
    t.equal(got.code, code, words.join(' '));
    t.match(got.stdout + got.stderr, message);
  }
});
