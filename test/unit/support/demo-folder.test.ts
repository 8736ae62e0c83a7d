// The demo's folder: which process serves it, and when it stays.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { removeDemo, serverOf } from '../../support/demo-folder.js';

const line = (...words: string[]): string => `${words.join('\0')}\0`;

await test('the process that serves a configuration', async (t) => {
  const proc = t.testdir({
    self: { cmdline: line('node', 'main.js', 'serve', '/demo/config') },
    10: { cmdline: line('node', 'main.js', 'serve', '/other/config') },
    11: { cmdline: line('nbdcopy', '/demo/config') },
    // It has ended, and its parent has not asked for its exit code.
    12: { cmdline: '' },
    13: {},
  });
  t.equal(serverOf('/demo/config', proc), null);
  const next = t.testdir({ 14: { cmdline: line('node', 'main.js', 'serve', '/demo/config') } });
  t.equal(serverOf('/demo/config', next), 14);
});

const mount = (dir: string): string =>
  `36 35 98:0 / ${dir.replaceAll(' ', String.raw`\040`)} ro,relatime - fuse.x none ro\n`;

await test('a folder goes if nothing is mounted in it', async (t) => {
  const folder = join(t.testdir({ demo: { 'layer0.tar': 'x' }, demo2: {} }), 'demo');
  const others = mount('/') + mount(`${folder}2/mnt`);
  t.equal(
    removeDemo(folder, others + mount(`${folder}/a b`)),
    `${folder}/a b is mounted: run overlaybd-nbd umount ${folder}/a b; then remove ${folder}`,
  );
  t.match(
    removeDemo(folder, mount(`${folder}/a`) + mount(`${folder}/b`)),
    / are mounted: run overlaybd-nbd umount .*a && overlaybd-nbd umount .*b; then remove /,
  );
  t.ok(existsSync(join(folder, 'layer0.tar')), 'all of it stays');
  t.equal(removeDemo(folder, others), null);
  t.notOk(existsSync(folder));
});

await test('a folder that cannot be removed is one line', async (t) => {
  t.match(removeDemo('/proc/self/fd', ''), /^cannot remove \/proc\/self\/fd: [^\n]+$/);
});
