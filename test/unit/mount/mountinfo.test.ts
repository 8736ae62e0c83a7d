// The mount table: lines as kernels write them, malformed lines, and which mount is on top.
import { array, assert, constantFrom, nat, property, string } from 'fast-check';
import { test } from 'tap';
import {
  mountAt,
  nbdDeviceOf,
  parseMountinfo,
  type MountEntry,
} from '../../../daemon/mount/mountinfo.js';

const entry = (fields: Partial<MountEntry>): MountEntry => ({
  id: 1,
  parent: 0,
  device: '43:0',
  mountPoint: '/mnt',
  type: 'ext4',
  source: '/dev/nbd0',
  peerGroup: null,
  isSlave: false,
  ...fields,
});

await test('fields, optional fields, escapes', (t) => {
  const text = [
    '26 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw',
    '44 26 43:3 / /mnt\\040with\\011all\\012of\\134it\\043 ro master:1 propagate_from:2 unbindable - xfs /dev/nbd3 ro,norecovery',
    '45 26 0:50 /sub /mnt/- rw - fuse.ext4 - rw',
    '46 26 0:51 / /none rw -  none rw',
    '47 26 0:52 / /empty rw - tmpfs  rw',
    '48 26 0:53 / /größe rw - tmpfs größe rw',
    '',
  ].join('\n');
  t.same(parseMountinfo(text), [
    {
      id: 26,
      parent: 1,
      device: '254:0',
      mountPoint: '/',
      type: 'ext4',
      source: '/dev/vda',
      peerGroup: 1,
      isSlave: false,
    },
    {
      id: 44,
      parent: 26,
      device: '43:3',
      mountPoint: '/mnt with\tall\nof\\it#',
      type: 'xfs',
      source: '/dev/nbd3',
      peerGroup: null,
      isSlave: true,
    },
    {
      id: 45,
      parent: 26,
      device: '0:50',
      mountPoint: '/mnt/-',
      type: 'fuse.ext4',
      source: '-',
      peerGroup: null,
      isSlave: false,
    },
    {
      id: 46,
      parent: 26,
      device: '0:51',
      mountPoint: '/none',
      type: '',
      source: 'none',
      peerGroup: null,
      isSlave: false,
    },
    {
      id: 47,
      parent: 26,
      device: '0:52',
      mountPoint: '/empty',
      type: 'tmpfs',
      source: '',
      peerGroup: null,
      isSlave: false,
    },
    {
      id: 48,
      parent: 26,
      device: '0:53',
      mountPoint: '/größe',
      type: 'tmpfs',
      source: 'größe',
      peerGroup: null,
      isSlave: false,
    },
  ]);
  t.end();
});

await test('malformed lines are left out', (t) => {
  for (const line of [
    '26',
    '26 1 254:0 / / rw,relatime',
    '26 1 254:0 / / rw,relatime shared:1 ext4 /dev/vda rw',
    '26 1 254:0 / / rw -',
    '26 1 254:0 / / rw - ext4',
    'x 1 254:0 / / rw - ext4 /dev/vda rw',
    '26 -1 254:0 / / rw - ext4 /dev/vda rw',
    '26 1 254 / / rw - ext4 /dev/vda rw',
    '26 1 254:0 / mnt rw - ext4 /dev/vda rw',
    '26 1 254:0 - / rw ext4 /dev/vda rw',
    ' 26 1 254:0 / / rw - ext4 /dev/vda rw',
  ]) {
    t.same(parseMountinfo(line), [], line);
  }
  t.end();
});

const at = (mountPoint: string): string | undefined =>
  parseMountinfo(`1 1 0:1 / ${mountPoint} rw - tmpfs none rw`)[0]?.mountPoint;

await test('an escape is decoded once, and only if it is valid', (t) => {
  t.equal(at('/a\\134040b'), '/a\\040b');
  t.equal(at('/a\\04'), '/a\\04');
  t.equal(at('/a\\999b\\'), '/a\\999b\\');
  t.end();
});

const escape = (text: string): string =>
  text.replace(/[ \t\n\\#]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, '0')}`);

await test('any text is parsed without a crash, and any mount is read back', (t) => {
  assert(
    // Code points, also halves of pairs; fast-check's own unit for them makes a table of all first.
    property(array(nat(0x10_ffff)), (points) => {
      t.ok(Array.isArray(parseMountinfo(String.fromCodePoint(...points))));
    }),
    { numRuns: 200 },
  );
  const name = string({
    minLength: 1,
    unit: constantFrom(' ', '\t', '\n', '\\', '#', '-', '0', '4', 'ü'),
  });
  assert(
    property(name, name, (point, source) => {
      const line = `7 6 0:9 / /${escape(point)} rw - fuse ${escape(source)} rw`;
      t.same(parseMountinfo(line), [
        entry({ id: 7, parent: 6, device: '0:9', mountPoint: `/${point}`, type: 'fuse', source }),
      ]);
    }),
    { numRuns: 200 },
  );
  t.end();
});

await test('the visible mount is the topmost one', (t) => {
  const below = entry({ id: 50, parent: 26, source: 'below' });
  const above = entry({ id: 40, parent: 50, source: 'above' });
  const beside = entry({ id: 60, parent: 26, mountPoint: '/mnt/sub' });
  t.equal(mountAt([below, above, beside], '/mnt')?.source, 'above');
  t.equal(mountAt([above, below], '/mnt')?.source, 'above', 'whatever the order');
  t.equal(mountAt([below, above], '/mn'), null);
  t.equal(
    mountAt([entry({ id: 1, parent: 1, mountPoint: '/' })], '/')?.id,
    1,
    'the root is its own parent',
  );
  t.end();
});

await test('only a device of the kernel counts as an nbd device', (t) => {
  t.equal(nbdDeviceOf(entry({ source: '/dev/nbd12', device: '43:192' })), '/dev/nbd12');
  t.equal(nbdDeviceOf(entry({ type: 'btrfs', device: '0:44' })), '/dev/nbd0');
  t.equal(
    nbdDeviceOf(entry({ type: 'fuse', device: '0:44' })),
    null,
    'a FUSE mount can have any source name',
  );
  t.equal(nbdDeviceOf(entry({ source: '/dev/nbd0p1', device: '43:1' })), null, 'a partition');
  t.equal(nbdDeviceOf(entry({ source: '/dev/nbd0', device: '8:0' })), null);
  t.equal(nbdDeviceOf(entry({ source: '/dev/sda' })), null);
  t.end();
});
