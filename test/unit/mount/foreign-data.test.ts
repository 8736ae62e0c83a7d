// The names of known data that is not a supported file system.
import { test } from 'tap';
import { nameForeignData } from '../../../daemon/mount/foreign-data.js';
import { writeGpt, writeMbr } from '../../support/partition-writer.js';

const head = (at: number, bytes: string): Buffer => {
  const buffer = Buffer.alloc(68 * 1024);
  buffer.write(bytes, at, 'latin1');
  return buffer;
};

await test('known signatures are found at their exact place only', (t) => {
  for (const [at, bytes, what] of [
    [0, 'LUKS\xba\xbe', /encrypted volume.*overlaybd-nbd attach.*apt install cryptsetup/],
    [512, 'LABELONE', /LVM/],
    [3, 'NTFS    ', /NTFS/],
    [3, 'EXFAT   ', /exFAT/],
    [82, 'FAT32   ', /FAT32.*mount -t vfat/],
    [54, 'FAT16   ', /FAT16/],
    [1024, '\x10\x20\xf5\xf2', /F2FS/],
    [32769, 'CD001', /ISO 9660/],
    [4086, 'SWAPSPACE2', /swap space, which has no files/],
    [0, 'ZFile\x00\x01', /a ZFile, not a file system: the image was built wrong/],
    [257, 'ustar', /a tar archive/],
    [0, '\x1f\x8b\x08', /a gzip file/],
    [0, 'QFI\xfb', /qcow2/],
  ] as const) {
    t.match(nameForeignData(head(at, bytes)), what, bytes);
    t.notMatch(nameForeignData(head(at + 1, bytes)), what);
  }
  t.end();
});

await test('partition tables lead to --partition', (t) => {
  const mbr = Buffer.alloc(68 * 1024);
  writeMbr(mbr, [{ type: 0x83, begin: 10, count: 20 }]);
  t.match(nameForeignData(mbr), /partition table \(MBR\).*--partition N/);
  mbr[446] = 0x33;
  t.notMatch(nameForeignData(mbr), /MBR/, 'the boot code of a file system');
  for (const sectorSize of [512, 4096]) {
    const gpt = Buffer.alloc(1 << 20);
    writeGpt(gpt, [{ first: 40, last: 50 }], { sectorSize });
    t.match(nameForeignData(gpt.subarray(0, 68 * 1024)), /partition table \(GPT\)/);
  }
  t.end();
});

await test('an empty device, zeros, and unknown data', (t) => {
  t.equal(nameForeignData(Buffer.alloc(0)), 'the device is empty');
  t.match(nameForeignData(Buffer.alloc(1025)), /^the first 2 KiB are zeros/);
  t.equal(
    nameForeignData(Buffer.from('\x01'.repeat(3000))),
    `it holds no known file system; it begins with ${'01'.repeat(16)}`,
  );
  t.match(nameForeignData(Buffer.from('QF')), /begins with 5146$/, 'shorter than any signature');
  t.end();
});
