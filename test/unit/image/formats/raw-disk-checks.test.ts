// Reasons why a file may not be a raw disk image.
import { test } from 'tap';
import { rawDiskDoubts } from '../../../../daemon/image/formats/raw-disk-checks.js';

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
    t.match(doubts(begin), [new RegExp(`^it begins as a ${name} file does \\([0-9a-f]+\\)`)]);
  }
  for (const begin of ['', '\x1f', '\xebX\x90mkfs.fat', 'hsqs', 'QFI']) t.same(doubts(begin), []);
});

await test('sizes that are not a multiple of the sector size', async (t) => {
  t.same(doubts('', 512), []);
  t.match(doubts('', 513), [/^its size of 513 bytes is not a multiple of 512 \(1 left over\)/]);
  t.match(doubts('', 1), [/^its size of 1 bytes /]);
  t.equal(doubts('\x1f\x8b', 700).length, 2);
});
