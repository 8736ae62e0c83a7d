// `ls`, `cat`, `cp` inside disks that are EROFS images: without a mount, and without a program for the file system.
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import tap, { test } from 'tap';
import { compareTrees } from '../support/compare-trees.js';
import { commandLine, shortFolder } from '../support/daemon-process.js';
import { fixturesRoot } from '../support/fixtures.js';
import { asMounted, folderTree } from '../support/folder-tree.js';
import { expectedTree, requireLazyFixtures } from '../support/lazy-fixtures.js';
import { runTool, type ToolResult } from '../support/tools.js';

tap.setTimeout(300_000);

/** Images of one device without compressed files, and what is in them. */
const IMAGES: [parts: string[], tree: string][] = [
  [['f50-erofs-plain/image.erofs'], 'f50-erofs-plain'],
  [['f50-erofs-plain/extended.erofs'], 'f50-erofs-plain'],
  [['f52-erofs-512-blocks/image.erofs'], 'f52-erofs-512-blocks'],
  [['f56-erofs-tar-i/meta.erofs', 'f56-erofs-tar-i/layer.tar'], 'f56-erofs-tar-i'],
];

/** Runs a command that finds no other program. */
function runAlone(args: readonly string[], folder: string): Promise<ToolResult> {
  const [, ...rest] = commandLine(args);
  const words = [`PATH=${folder}`, '/usr/bin/env', ...rest];
  return runTool('env', words, { timeout: 120_000 });
}

for (const [parts, tree] of IMAGES) {
  await test(parts.join(' and '), async (t) => {
    const root = requireLazyFixtures(t);
    if (root === null) return;
    if (process.geteuid?.() !== 0) {
      t.pass('cp -a', { skip: 'NOT TESTED: only root can make devices and set owners' });
      return;
    }
    const folder = shortFolder(t);
    const [disk, copy] = [join(folder, 'disk'), join(folder, 'copy')];
    writeFileSync(disk, Buffer.concat(parts.map((part) => readFileSync(join(root, part)))));
    const copied = await runAlone(['cp', '-a', disk, '/', copy], folder);
    t.equal(copied.code, 0, copied.stderr);
    const expected = asMounted(expectedTree(root, tree, 'expected.tree.jsonl'));
    compareTrees(t, await folderTree(copy), expected);
    rmSync(copy, { recursive: true });
  });
}

for (const fixture of ['13-turbooci-erofs-targz', '13b-turbooci-erofs-tar']) {
  await test(`${fixture}: in a disk of OverlayBD`, async (t) => {
    const root = fixturesRoot();
    if (root === null) {
      t.pass('fixtures', { skip: 'NOT TESTED: there are no fixtures' });
      return;
    }
    const folder = shortFolder(t);
    const image = join(root, fixture, 'config.v1.json');
    const listed = await runAlone(['ls', image], folder);
    t.match([listed.code, listed.stdout], [0, /^big\nbin\ndir\n/], listed.stderr);
    // There are zeros after the xattrs of the root, which are no xattr.
    const shown = await runAlone(['stat', '--json', image, '/'], folder);
    t.match(shown.stdout, /"type":"directory","mode":"0755"/, shown.stderr);
    t.notMatch(shown.stdout, /"":/);
    const copied = await runAlone(['cp', image, '/', join(folder, 'copy')], folder);
    t.equal(copied.code, 0, copied.stderr);
  });
}

await test('contents of compressed files need the program of the file system', async (t) => {
  const root = requireLazyFixtures(t);
  if (root === null) return;
  const folder = shortFolder(t);
  const image = join(root, 'f53-erofs-lz4/image.erofs');
  const listed = await runAlone(['ls', image, 'etc'], folder);
  t.match(listed, { code: 0, stdout: /^passwd$/m }, listed.stderr);
  const { code, stderr } = await runAlone(['cat', image, 'etc/passwd'], folder);
  t.equal(code, 1);
  t.match(stderr, /erofsfuse: not found; apt install erofsfuse/);
});
