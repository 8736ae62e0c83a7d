// Which xattrs are stored, where, and which are dropped.
import { test } from 'tap';
import { XattrPlan, writeArea } from '../../../daemon/erofs/xattrs.js';
import { XattrSet } from '../../../daemon/tree/xattrs.js';
import { readXattrs } from '../../support/erofs/xattrs.js';

const setOf = (pairs: Record<string, string>): XattrSet =>
  new XattrSet(
    Object.keys(pairs),
    Object.values(pairs).map((value) => Buffer.from(value, 'latin1')),
  );

function planOf(...sets: XattrSet[]): XattrPlan {
  const plan = new XattrPlan();
  for (const set of sets) plan.count(set);
  return plan;
}

/** Writes one set's area at byte 0 and the shared ones at byte 2^20, and reads both. */
function readBack(plan: XattrPlan, set: XattrSet): Record<string, string> {
  const area = plan.areaOf(set);
  if (!area) return {};
  const shared = 2 ** 20;
  const bytes = Buffer.alloc(2 * shared);
  plan.writeShared(bytes, shared);
  writeArea(bytes, 0, area, 0);
  const read = (offset: number, length: number): Buffer => bytes.subarray(offset, offset + length);
  const where = { what: 'inode', at: 0, size: area.size, end: bytes.length, shared };
  return { ...readXattrs(read, where).xattrs };
}

await test('every prefix that EROFS has', (t) => {
  const pairs = {
    'user.a': '1',
    'user.\xc3\xa4 \n': '\0\xff\n',
    'trusted.a': '22',
    'trusted.overlayfs': '',
    'security.capability': '333',
    'system.posix_acl_access': '\x02\0\0\0',
    'system.posix_acl_default': '\x02\0\0\0',
  };
  const set = setOf(pairs);
  const plan = planOf(set);
  t.same(readBack(plan, set), pairs);
  t.same(plan.dropped, { count: 0, first: null });
  t.end();
});

await test('what EROFS cannot store is dropped and counted', (t) => {
  const set = setOf({
    'btrfs.compression': 'x',
    'system.nfs4_acl': 'x',
    plain: 'x',
    'user.': 'x',
    constructor: 'x',
    '': 'x',
    'trusted.overlay.opaque': 'y',
    'trusted.overlay.redirect': 'z',
    [`user.${'n'.repeat(256)}`]: '',
    'user.big': 'v'.repeat(65_536),
    'user.kept': 'v'.repeat(65_535),
    [`user.${'n'.repeat(255)}`]: '',
  });
  const plan = planOf(set, set);
  const kept = Object.keys(readBack(plan, set));
  t.same(kept.toSorted(), ['user.kept', `user.${'n'.repeat(255)}`].toSorted());
  t.same(plan.dropped, { count: 20, first: '' });
  t.end();
});

await test('a broken access control list is dropped', (t) => {
  const entry = '\x01\0\x06\0\xff\xff\xff\xff';
  const broken = [
    '',
    '\x02\0\0',
    `\x01\0\0\0${entry}`,
    `\x02\0\0\0${entry}x`,
    '\x02\0\0\0\x03\0xxxxxx',
  ];
  for (const value of broken) {
    const set = setOf({ 'system.posix_acl_access': value });
    t.equal(planOf(set).areaOf(set), null, JSON.stringify(value));
  }
  const good = setOf({ 'system.posix_acl_default': `\x02\0\0\0${entry}${entry}` });
  t.equal(planOf(good).areaOf(good)?.own.length, 1);
  t.end();
});

await test('an inode without an xattr that can be stored has no area', (t) => {
  const set = setOf({ plain: 'x' });
  t.equal(planOf(set).areaOf(set), null);
  t.end();
});

await test('what two inodes have alike is stored once', (t) => {
  const one = setOf({ 'security.selinux': 'label', 'user.a': '1' });
  const two = setOf({ 'security.selinux': 'label', 'user.a': '2' });
  const plan = planOf(one, two);
  const area = plan.areaOf(one);
  t.equal(area?.shared.length, 1);
  t.equal(area?.own.length, 1);
  t.equal(area?.size, 12 + 4 + 8);
  plan.areaOf(two);
  t.equal(plan.sharedSize, 4 + 7 + 5);
  t.same(readBack(plan, one), { 'security.selinux': 'label', 'user.a': '1' });
  t.same(readBack(plan, two), { 'security.selinux': 'label', 'user.a': '2' });
  t.end();
});

await test('a value of another inode is not shared', (t) => {
  const one = setOf({ 'user.a': '1' });
  const plan = planOf(
    one,
    setOf({ 'user.a': '2' }),
    setOf({ 'user.a1': '' }),
    setOf({ 'trusted.a': '1' }),
  );
  t.equal(plan.areaOf(one)?.shared.length, 0);
  t.equal(plan.sharedSize, 0);
  t.end();
});

await test('an inode has at most 255 shared ones; the rest is after it', (t) => {
  const pairs = Object.fromEntries(
    Array.from({ length: 300 }, (_, i) => [`user.${1000 + i}`, 'v']),
  );
  const set = setOf(pairs);
  const plan = planOf(set, set);
  const area = plan.areaOf(set);
  t.same([area?.shared.length, area?.own.length], [255, 45]);
  t.same(readBack(plan, set), pairs);
  t.end();
});

await test('an area that would be too large loses the last ones by name', (t) => {
  // 12 + 4 * (4 + 1 + 65_535) = 262_172 bytes, and 262_148 are possible.
  const value = 'v'.repeat(65_535);
  const set = setOf({
    'user.a': value,
    'user.b': value,
    'user.c': value,
    'user.d': value,
    'user.e': '',
  });
  const plan = planOf(set);
  t.same(Object.keys(readBack(plan, set)), ['user.a', 'user.b', 'user.c', 'user.e']);
  t.same(plan.dropped, { count: 1, first: 'user.d' });
  t.end();
});
