// What `mount --fuse` refuses before it starts anything. The command itself: test/e2e/mount-fuse.test.ts.
import { test } from 'tap';
import { run, type MountArguments } from '../../../daemon/cli/mount.js';

await test('options about images are refused for exports and URIs', async (t) => {
  const dir = t.testdir();
  const cases: [Partial<MountArguments>, string][] = [
    [{ 'toc-blob': 'x' }, '--toc-blob'],
    [{ 'toc-digest': `sha256:${'0'.repeat(64)}` }, '--toc-digest'],
    [{ ztoc: ['x'] }, '--ztoc'],
    [{ layer: 1 }, '--layer'],
    [{ 'insecure-toc': true }, '--insecure-toc'],
    [{ objects: 'x' }, '--objects'],
    [{ 'soci-index': 'x' }, '--soci-index'],
    [{ blobs: 'x' }, '--blobs'],
    [{ offline: true }, '--offline'],
    [{ partition: 1 }, '--partition'],
  ];
  for (const word of ['web', 'nbd://localhost/web']) {
    for (const [args, option] of cases) {
      const message = new RegExp(`^${option}: works with --fuse for images, not for exports`);
      const mounting = run({ image: [word, dir], fuse: true, ...args });
      await t.rejects(mounting, { code: 'BAD_ARGUMENT', message }, `${word} ${option}`);
    }
  }
});
