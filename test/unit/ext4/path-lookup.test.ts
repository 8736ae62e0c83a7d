// Paths: symlinks stay inside the file system, and loops end.
import t from 'tap';
import { Ext4 } from '../../../daemon/ext4/file-system.js';
import { MAX_LINKS_FOLLOWED } from '../../../daemon/ext4/limits.js';
import { findPath } from '../../../daemon/ext4/path-lookup.js';
import { EXTENTS, Ext4Writer, extentNode } from '../../support/ext4-writer.js';

const fs = new Ext4Writer();
const chain = Object.fromEntries(
  Array.from({ length: MAX_LINKS_FOLLOWED + 1 }, (_, i) => [`l${i}`, 20 + i]),
);
fs.directory(2, 100, { '..': 2, bin: 11, slash: 13, out: 14, loop: 15, turns: 16, ...chain });
fs.directory(11, 101, { '..': 2, a: 12, up: 17, self: 18 });
fs.file(12, 110, 1);
fs.link(13, '/');
fs.link(14, '../../../bin/../bin/./a');
fs.link(15, 'loop/x');
// Twenty names, and itself: the number of names grows before that of links ends it.
fs.link(16, `${'bin/../'.repeat(7)}turns`);
fs.link(17, '../bin');
fs.link(18, '.');
for (let i = 0; i <= MAX_LINKS_FOLLOWED; i++) fs.link(20 + i, i === 0 ? 'bin/a' : `l${i - 1}`);

const open = (await Ext4.open(fs.device)) as Ext4;

async function found(path: string): Promise<number | null> {
  return (await findPath(open, path))?.inode.number ?? null;
}

await t.test('what they lead to', async (test) => {
  const a = ['/bin/a', 'bin/a', '//bin//a', './bin/./a', '/../bin/a', 'slash/slash/bin/a', 'out'];
  for (const path of [...a, 'bin/up/up/a', 'bin/self/self/a', 'bin/../bin/a']) {
    test.equal(await found(path), 12, path);
  }
  for (const path of ['bin', 'bin/', 'bin/.', 'bin/up', 'bin/self/']) {
    test.equal(await found(path), 11, path);
  }
  for (const path of ['/', '', '..', 'bin/..', 'slash', 'bin/up/..'])
    test.equal(await found(path), 2, path);
});

await t.test('nothing', async (test) => {
  for (const path of ['a', 'bin/a/', 'bin/a/.', 'bin/a/..', 'bin/b/a', 'BIN/a', 'loop', 'turns']) {
    test.equal(await found(path), null, path);
  }
});

await t.test('no more links, names and bytes than were allowed', async (test) => {
  test.equal(await found(`l${MAX_LINKS_FOLLOWED - 1}`), 12);
  test.equal(await found(`l${MAX_LINKS_FOLLOWED}`), null);
  test.equal(await found(`${'/'.repeat(4090)}bin/a`), 12);
  test.equal(await found(`${'/'.repeat(4092)}bin/a`), null);
  test.equal(await found('.'.padEnd(4095, '/.')), 2);
});

await t.test('no more names of symlinks', async (test) => {
  const links = new Ext4Writer();
  const names = Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`l${i}`, 20 + i]));
  links.directory(2, 100, { '..': 2, a: 12, ...names });
  links.file(12, 110, 1);
  for (let i = 0; i < 12; i++) {
    // 501 names each.
    const target = `${'./'.repeat(500)}${i === 0 ? 'a' : `l${i - 1}`}`;
    links.block(150 + i).write(target, 'latin1');
    const blocks = extentNode(0, [{ logical: 0, length: 1, first: 150 + i }]);
    links.inode(20 + i, { kind: 'symlink', size: target.length, flags: EXTENTS, blocks });
  }
  const linked = (await Ext4.open(links.device)) as Ext4;
  test.equal((await findPath(linked, 'l7'))?.inode.number, 12);
  test.equal(await findPath(linked, 'l8'), null);
});
