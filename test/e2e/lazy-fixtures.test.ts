// Every fixture with an expected tree, through a daemon and the kernel of this machine; and fsck.erofs finds nothing in the
// metadata that the daemon writes.
import { join } from 'node:path';
import tap, { test, type Test } from 'tap';
import { compareTrees } from '../support/compare-trees.js';
import { DaemonProcess, shortFolder } from '../support/daemon-process.js';
import {
  besideOptions,
  fixtureImages,
  withoutLinks,
  type FixtureImage,
} from '../support/fixture-images.js';
import { asMounted, folderTree } from '../support/folder-tree.js';
import { withLoopMount } from '../support/fuse-loop.js';
import { requireLazyFixtures } from '../support/lazy-fixtures.js';
import { requireTool, runTool } from '../support/tools.js';

tap.setTimeout(600_000);

async function isMounted(t: Test, daemon: DaemonProcess, image: FixtureImage): Promise<void> {
  if (!requireTool(t, 'nbdfuse', 'fusermount3', 'mount', 'python3')) return;
  await withLoopMount(t, daemon.socketPath, shortFolder(t), async (dir) => {
    const tree = await folderTree(dir);
    compareTrees(t, image.hasLinks ? tree : withoutLinks(tree), asMounted(image.lines));
  });
}

async function isClean(t: Test, daemon: DaemonProcess): Promise<void> {
  if (!requireTool(t, 'nbdcopy', 'fsck.erofs')) return;
  const copy = join(shortFolder(t), 'copy');
  const copied = await runTool('nbdcopy', [`nbd+unix://?socket=${daemon.socketPath}`, copy]);
  t.equal(copied.code, 0, copied.stderr);
  const { code, stdout, stderr } = await runTool('fsck.erofs', ['--extract', copy]);
  t.equal(code, 0, `fsck.erofs: ${stderr}`);
  // It prints some errors, such as a wrong checksum, and ends with 0.
  t.notMatch(`${stdout}${stderr}`, /<[EW]>/);
}

await test('fixtures with trees', async (t) => {
  const root = requireLazyFixtures(t);
  if (root === null) return;
  for (const image of fixtureImages(root)) {
    await t.test(image.name, async (each) => {
      const words = [...image.image, ...besideOptions(image.beside)];
      const daemon = await DaemonProcess.start(each, words);
      await isMounted(each, daemon, image);
      if (image.isWritten) await isClean(each, daemon);
      await daemon.stop(each);
    });
  }
});
