// Composefs images that mkcomposefs has written, with their stores, opened as `serve` does: the trees are what is expected,
// in every field. An object that is missing or wrong spoils the files that have it, and no other.
import {
  cpSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import tap, { test, type Test } from 'tap';
import { compareTrees } from '../support/compare-trees.js';
import { DaemonProcess, runDaemon, shortFolder } from '../support/daemon-process.js';
import { treeOfDevice } from '../support/erofs/tree-of-device.js';
import { withLoopMount } from '../support/fuse-loop.js';
import { withDevice } from '../support/in-process.js';
import { expectedTree, requireLazyFixtures } from '../support/lazy-fixtures.js';
import { imageManifest } from '../support/memory-registry.js';
import { LayoutWriter } from '../support/layout-writer.js';
import { requireTool } from '../support/tools.js';

tap.setTimeout(300_000);

const FIXTURE = 'f30-composefs-v0';
/** The object of /sizes/s65537, and a part of its path in the store. */
const LARGE = '44/950d2e31db4affaabc2996eddf74e84ff249c69a7a15ac978031e421e1175e';
/** That of /bin/su. */
const SMALL = '83/47984da3bb7e71a94d69656038eeacef67bd0c511792c12de06447f7b2ab4f';

await test(FIXTURE, async (t) => {
  const root = requireLazyFixtures(t);
  if (root === null) return;
  const objects = join(root, FIXTURE, 'objects');
  const use = async ({ device }: { device: Parameters<typeof treeOfDevice>[0] }): Promise<void> => {
    const { lines, broken } = await treeOfDevice(device);
    t.equal(broken.size, 0);
    compareTrees(t, lines, expectedTree(root, FIXTURE, 'expected.tree.jsonl'));
  };
  const beside = { tocBlob: null, tocDigest: null, ztocs: [], objects };
  await withDevice([join(root, FIXTURE, 'image.cfs')], use, beside);
});

/** A store that the test may change. */
function storeOf(t: Test, root: string): string {
  const store = join(t.testdir(), 'objects');
  cpSync(join(root, FIXTURE, 'objects'), store, { recursive: true });
  return store;
}

const DAMAGES: [what: string, damage: (path: string, store: string) => void, message: RegExp][] = [
  ['missing', (path) => rmSync(path), /no such file/],
  ['a changed bit', flipBit, /expected the fs-verity digest [0-9a-f]{64}, got [0-9a-f]{64}/],
  ['too short', (path) => truncateSync(path, 100), /expected \d+ bytes, got 100 bytes/],
  [
    'a symlink out of the store',
    (path, store) => {
      renameSync(path, join(store, '../elsewhere'));
      symlinkSync(join(store, '../elsewhere'), path);
    },
    /expected a file of that name, got a symlink that leads to .*elsewhere/,
  ],
];

function flipBit(path: string): void {
  const bytes = readFileSync(path);
  bytes[0] = (bytes[0] as number) ^ 1;
  rmSync(path);
  writeFileSync(path, bytes);
}

for (const [what, damage, message] of DAMAGES) {
  await test(`objects that are ${what}`, async (t) => {
    const root = requireLazyFixtures(t);
    if (root === null) return;
    const store = storeOf(t, root);
    for (const object of [LARGE, SMALL]) damage(join(store, object), store);
    const beside = { tocBlob: null, tocDigest: null, ztocs: [], objects: store };
    const image = join(root, FIXTURE, 'image.cfs');
    const check = async ({
      device,
    }: {
      device: Parameters<typeof treeOfDevice>[0];
    }): Promise<void> => {
      const { lines, broken } = await treeOfDevice(device);
      // /sizes/s65537 has 17 pages, /bin/su has one.
      t.equal(broken.size, 18);
      for (const error of broken.values()) {
        t.match(error.message, message);
        t.match(error.message, /; file "(?:sizes\/s65537|bin\/su)" of .*image\.cfs$/);
        t.match(error.message, new RegExp(`objects/(?:${LARGE}|${SMALL}): `));
      }
      const changed = ['/sizes/s65537', '/bin/su'];
      const expected = expectedTree(root, FIXTURE, 'expected.tree.jsonl');
      const good = <T extends { path?: string }>(all: readonly T[]): T[] =>
        all.filter(({ path }) => !changed.includes(path ?? ''));
      compareTrees(t, good(lines), good(expected));
    };
    await withDevice([image], check, beside);
    const verified = await runDaemon(['verify', image, '--objects', store]);
    t.equal(verified.code, 1);
    t.match(verified.stdout, /bad: 2 problems/);
    t.match(verified.stdout, message);
  });
}

await test('a missing object is EIO for its file alone, and one line in the log', async (t) => {
  const root = requireLazyFixtures(t);
  if (root === null || !requireTool(t, 'nbdfuse', 'fusermount3', 'mount')) return;
  const store = storeOf(t, root);
  rmSync(join(store, SMALL));
  const words = [join(root, FIXTURE, 'image.cfs'), '--objects', store];
  const daemon = await DaemonProcess.start(t, words);
  await withLoopMount(t, daemon.socketPath, shortFolder(t), async (dir) => {
    await t.rejects(readFile(join(dir, 'bin/su')), { code: 'EIO' });
    await t.resolves(readFile(join(dir, 'bin/wall')));
  });
  const [line] = await daemon.waitForLines(/read of|reads? fail|failed/);
  t.match(line, new RegExp(`${SMALL}: .*no such file.*file .*bin/su`));
  await daemon.stop(t);
});

await test('an image without its store, and a store without an image of the kind', async (t) => {
  const root = requireLazyFixtures(t);
  if (root === null) return;
  const fixture = join(root, FIXTURE);
  const image = join(fixture, 'image.cfs');
  const objects = ['--objects', join(fixture, 'objects')];
  const cases: [words: string[], code: number, message: RegExp][] = [
    [[image], 1, /the contents of 17 files in a folder of objects: name .* --objects$/m],
    [
      [image, '--objects', '/proc/nonexistent'],
      1,
      /\/nonexistent: there is no such folder of objects/,
    ],
    [[image, '--objects', image], 2, /image\.cfs: not a folder: --objects names the folder/],
    [
      [image, '--objects', root],
      0,
      /has none of the first objects of the image: is it the right folder\?/,
    ],
    [[image, '--objects', ''], 2, /--objects: needs a value/],
    [
      [join(root, 'f03-tar-pax/layer.tar'), ...objects],
      1,
      /--objects is for composefs images, and this is not a composefs image/,
    ],
    [[image, image, ...objects], 2, /only for a single layer that is given as a file/],
    // Its magic is wrong: it is a plain EROFS image.
    [[join(root, 'neg-60-composefs-header/image.cfs')], 0, /content +raw disk image/],
    [[join(root, 'neg-60-composefs-header/image.cfs'), ...objects], 1, /is for composefs images/],
    [[image, ...objects], 0, /composefs, by the magic in its first word; 17 objects/],
  ];
  for (const [words, code, message] of cases) {
    const got = await runDaemon(['inspect', ...words]);
    t.equal(got.code, code, words.join(' '));
    t.match(got.stdout + got.stderr, message);
  }
});

await test('the layer of an image in a layout, with its store', async (t) => {
  const root = requireLazyFixtures(t);
  if (root === null) return;
  const layout = new LayoutWriter(join(shortFolder(t), 'layout'));
  const layer = layout.blob(readFileSync(join(root, FIXTURE, 'image.cfs')), null);
  layout.manifest(imageManifest([layer]), 'one');
  layout.manifest(imageManifest([layer, layer]), 'two');
  const objects = ['--objects', join(root, FIXTURE, 'objects')];
  const one = [`oci:${layout.folder}:one`, ...objects];
  const cat = await runDaemon(['cat', ...one, '--', '/bin/su']);
  t.equal(cat.code, 0, cat.stderr);
  t.equal(cat.stdout, readFileSync(join(root, FIXTURE, 'objects', SMALL), 'utf8'));
  t.equal((await runDaemon(['verify', ...one])).code, 0);
  const two = await runDaemon(['ls', `oci:${layout.folder}:two`, ...objects]);
  t.equal(two.code, 2);
  t.match(two.stderr, /--objects: only for an image of 1 layer, and it has 2 layers/);
});
