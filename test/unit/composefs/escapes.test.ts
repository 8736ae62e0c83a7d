import { test } from 'tap';
import { isHidingDevice, restored } from '../../../daemon/composefs/escapes.js';
import type { VisitedEntry } from '../../../daemon/erofs/reader/image.js';

const some = Buffer.from('value');
const names = (stored: Record<string, Uint8Array>): string[] => [
  ...(restored(new Map(Object.entries(stored))).xattrs?.keys() ?? []),
];

function entry(path: string, mode: number, place: number): VisitedEntry {
  return { path, inode: { mode, place } } as unknown as VisitedEntry;
}

await test('attributes of overlayfs are taken away, those of the files come back', (t) => {
  const kept = ['user.a', 'security.selinux', 'trusted.b', 'user.overlay.opaque'];
  const stored = Object.fromEntries(kept.map((name) => [name, some]));
  t.same(names({ ...stored, 'trusted.overlay.redirect': some }), kept);
  t.same(names({ 'trusted.overlay.overlay.opaque': some }), ['trusted.overlay.opaque']);
  t.same(names({ 'trusted.overlay.overlay.overlay.x': some }), ['trusted.overlay.overlay.x']);
  t.end();
});

await test('files that were whiteouts, and their directories', (t) => {
  const file = new Map([
    ['trusted.overlay.overlay.whiteout', some],
    ['user.overlay.whiteout', some],
    ['user.a', some],
  ]);
  t.same(restored(file), { xattrs: new Map([['user.a', some]]), isWhiteout: true });
  const x = Buffer.from('x');
  const directory = new Map([
    ['trusted.overlay.overlay.whiteouts', some],
    ['user.overlay.whiteouts', some],
    ['trusted.overlay.overlay.opaque', x],
    ['user.overlay.opaque', x],
  ]);
  t.same(restored(directory), { xattrs: null, isWhiteout: false });
  t.end();
});

await test('attributes of whiteouts that the files had themselves', (t) => {
  for (const name of ['whiteout', 'whiteouts']) {
    const stored = new Map([[`trusted.overlay.overlay.${name}`, some]]);
    const xattrs = new Map([[`trusted.overlay.${name}`, some]]);
    t.same(restored(stored), { xattrs, isWhiteout: false });
  }
  t.same(names({ 'user.overlay.whiteout': some }), ['user.overlay.whiteout']);
  t.end();
});

await test('the devices that hide the store', (t) => {
  t.ok(isHidingDevice(entry('a0', 0o020000, 0)));
  t.notOk(isHidingDevice(entry('a0', 0o020000, 1)), 'another device');
  t.notOk(isHidingDevice(entry('a0', 0o040755, 0)), 'a directory');
  t.notOk(isHidingDevice(entry('a0/a0', 0o020000, 0)), 'not in the root');
  t.notOk(isHidingDevice(entry('AA', 0o020000, 0)));
  t.end();
});
