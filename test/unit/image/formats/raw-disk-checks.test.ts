// Reasons why a file may not be a raw disk image.
import { test } from 'tap';
import {
  isSurelyPacked,
  packedAs,
  rawDiskDoubts,
} from '../../../../daemon/image/formats/raw-disk-checks.js';

const doubts = (begin: string, size = 1024): string[] => {
  const bytes = Buffer.alloc(size);
  bytes.write(begin, 'latin1');
  return rawDiskDoubts(bytes.subarray(0, 4096), size);
};

await test('files of other kinds are recognized by their first bytes', async (t) => {
  const kinds: [string, string][] = [
    ['\x1f\x8b\x08', 'gzip'],
    ['\xfd7zXZ\0', 'xz'],
    ['\x28\xb5\x2f\xfd', 'zstd'],
    ['\x04\x22\x4d\x18', 'lz4'],
    ['BZh9', 'bzip2'],
    ['PK\x03\x04', 'zip'],
    ['QFI\xfb', 'qcow2'],
    ['KDMV', 'VMDK'],
    ['vhdxfile', 'VHDX'],
    ['conectix', 'VHD'],
    ['# Disk DescriptorFile\nversion=1', 'VMDK'],
    ['<<< Oracle VM VirtualBox Disk Image >>>', 'VDI'],
    ['QED\0', 'QED'],
    ['7z\xbc\xaf\x27\x1c', '7z'],
    ['\x02\x21\x4c\x18', 'lz4'],
    ['\x3a\xff\x26\xed', 'sparse Android'],
  ];
  for (const [begin, name] of kinds) {
    t.match(doubts(begin), [new RegExp(`^it begins as an? ${name} file does \\([0-9a-f]+\\)`)]);
  }
  for (const begin of ['', '\x1f', '\xebX\x90mkfs.fat', 'hsqs', 'QFI']) t.same(doubts(begin), []);
});

await test('sizes that are not a multiple of the sector size', async (t) => {
  t.same(doubts('', 512), []);
  t.match(doubts('', 513), [/^its size of 513 bytes is not a multiple of 512 \(1 left over\)/]);
  t.match(doubts('', 1), [/^its size of 1 bytes /]);
  t.equal(doubts('\x1f\x8b', 700).length, 2);
});

await test('what is surely packed, and what may be a disk all the same', async (t) => {
  const packed: [string, string, string][] = [
    ['\xfd7zXZ\0', 'xz', 'an xz file does: .*\\(xz -d\\)'],
    ['BZh91AY&SY', 'bz2', 'a bzip2 file does: .*\\(bzip2 -d\\)'],
    ['PK\x03\x04', 'zip', 'a zip file does: .*\\(unzip\\)'],
    ['\x04\x22\x4d\x18\x64\x40', 'tar.lz4', 'an lz4 file does: .*\\(lz4 -d\\)'],
    ['\x02\x21\x4c\x18', 'lz4', 'an lz4 file'],
    ['7z\xbc\xaf\x27\x1c', '7z', 'a 7z file does: .*\\(7z x\\)'],
  ];
  for (const [begin, suffix, text] of packed) {
    const head = Buffer.from(begin.padEnd(64, '\0'), 'latin1');
    t.match(packedAs(head), new RegExp(`^it begins as ${text}`));
    t.ok(isSurelyPacked(head, 1000, 'layer'), `${suffix}: a size that no disk has`);
    t.ok(isSurelyPacked(head, 1024, `layer.${suffix}`), `${suffix}: a name that says so`);
    t.notOk(isSurelyPacked(head, 1024, 'disk.img'), `${suffix}: nothing else says so`);
  }
  for (const begin of ['', 'BZh9', 'BZh', '\x04\x22\x4d\x18', '\x1f\x8b\x08', 'QFI\xfb']) {
    const head = Buffer.from(begin.padEnd(64, '\0'), 'latin1');
    t.equal(packedAs(head), null);
    t.notOk(isSurelyPacked(head, 1000, 'layer.xz'));
  }
});
