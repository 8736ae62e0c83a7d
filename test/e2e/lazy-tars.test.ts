// Layers that common tools have written: their trees are what is expected, in every field.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import tap, { test, type Test } from 'tap';
import { writeErofs } from '../../daemon/erofs/write.js';
import type { LayerTree } from '../../daemon/tree/layer-tree.js';
import { mergeLayers } from '../../daemon/tree/merge.js';
import { deviceOf } from '../support/erofs/device.js';
import { readErofs } from '../support/erofs/reader.js';
import { treeLines, type TreeLine } from '../support/erofs/tree-lines.js';
import { expectedTree, requireLazyFixtures } from '../support/lazy-fixtures.js';
import { readWithPython } from '../support/python-tar.js';
import { requireTool } from '../support/tools.js';
import { treeOf } from '../support/trees.js';

tap.setTimeout(300_000);

/** @param archives not compressed, bottom first */
async function linesOf(archives: readonly string[]): Promise<TreeLine[] | null> {
  const trees: LayerTree[] = [];
  for (const path of archives) {
    const drafts = await readWithPython(path);
    if (!drafts) return null;
    trees.push(treeOf(drafts, path));
  }
  const device = writeErofs(mergeLayers(trees), { uuidSeed: [] });
  const sources = archives.filter((_, i) => (trees[i]?.sourceCount ?? 0) > 0);
  const read = deviceOf(
    device,
    sources.map((path) => readFileSync(path)),
  );
  return treeLines(readErofs(read, device.deviceSize).entries);
}

const TREES: [fixture: string, archive: string, tree: string][] = [
  ['f03-tar-pax', 'layer.tar', 'expected.tree.jsonl'],
  ['f04-tar-gnu', 'layer.tar', 'expected.tree.jsonl'],
  ['f05-tar-sparse', 'sparse-0.0.tar', 'expected.tree.jsonl'],
  ['f05-tar-sparse', 'sparse-0.1.tar', 'expected.tree.jsonl'],
  ['f05-tar-sparse', 'sparse-1.0.tar', 'expected.tree.jsonl'],
  ['f05-tar-sparse', 'sparse-oldgnu.tar', 'expected.tree.jsonl'],
  ['f06-tar-bsdtar', 'layer.tar', 'expected.tree.jsonl'],
  ['f07-tar-ustar-v7', 'ustar.tar', 'ustar.tree.jsonl'],
  ['f07-tar-ustar-v7', 'v7.tar', 'v7.tree.jsonl'],
];

for (const [fixture, archive, tree] of TREES) {
  await test(`${fixture}: ${archive}`, async (t) => {
    const root = requireLazyFixtures(t);
    if (root === null || !requireTool(t, 'python3')) return;
    compare(t, await linesOf([join(root, fixture, archive)]), expectedTree(root, fixture, tree));
  });
}

await test('f01-oci-targz-umoci: four layers', async (t) => {
  const root = requireLazyFixtures(t);
  if (root === null || !requireTool(t, 'python3')) return;
  const fixture = join(root, 'f01-oci-targz-umoci');
  const blob = (digest: string): Buffer =>
    readFileSync(join(fixture, 'image/blobs/sha256', digest.replace('sha256:', '')));
  interface Named {
    digest: string;
  }
  const index = JSON.parse(readFileSync(join(fixture, 'image/index.json'), 'utf8')) as {
    manifests: Named[];
  };
  const manifest = JSON.parse(blob(index.manifests[0]?.digest ?? '').toString()) as {
    layers: Named[];
  };
  const folder = t.testdir();
  mkdirSync(folder, { recursive: true });
  const archives = manifest.layers.map(({ digest }, i) => {
    const path = join(folder, `layer${i}.tar`);
    writeFileSync(path, gunzipSync(blob(digest)));
    return path;
  });
  t.equal(archives.length, 4);
  compare(t, await linesOf(archives), expectedTree(fixture, 'expected.tree.jsonl'));
});

await test('neg-32: a hard link without a target', async (t) => {
  const root = requireLazyFixtures(t);
  if (root === null || !requireTool(t, 'python3')) return;
  const archive = join(root, 'neg-32-tar-hardlink-missing/layer.tar');
  await t.rejects(linesOf([archive]), { code: 'BAD_FORMAT', message: /a hard link to/ });
});

/** One assertion for each line that differs: a tree has thousands of them. */
function compare(t: Test, got: TreeLine[] | null, expected: TreeLine[]): void {
  t.same(
    got?.map(({ path, path_b64 }) => path ?? path_b64),
    expected.map(({ path, path_b64 }) => path ?? path_b64),
    'paths',
  );
  const others = expected.filter((line, i) => !isSame(t, line, got?.[i]));
  t.equal(others.length, 0, `${expected.length} entries`);
}

function isSame(t: Test, line: TreeLine, got: TreeLine | undefined): boolean {
  if (textOf(line) === textOf(got)) return true;
  t.same(got, line);
  return false;
}

/** The order of keys does not matter. */
function textOf(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) =>
    each !== null && typeof each === 'object' && !Array.isArray(each)
      ? Object.fromEntries(Object.entries(each).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : each,
  );
}
