// Names what a device holds if `mount` does not support it, for the error message. Decides nothing.

const ATTACH = 'attach it (overlaybd-nbd attach)';
const FAT = 'mount -t vfat -o ro, or mdir -i (apt install mtools)';
const PARTITION =
  'mount one of its partitions with --partition N (overlaybd-nbd inspect lists them)';

interface Signature {
  readonly at: number;
  readonly bytes: string;
  readonly what: string;
  /** How its device is used by hand; absent: no file system can be found in it. */
  readonly by?: string;
}

/** Bytes as Latin-1 text. The first match wins, so the most specific come first. */
const SIGNATURES: readonly Signature[] = [
  {
    at: 0,
    bytes: 'LUKS\xba\xbe',
    what: 'an encrypted volume (LUKS)',
    by: 'cryptsetup open --readonly (apt install cryptsetup)',
  },
  {
    at: 512,
    bytes: 'LABELONE',
    what: 'a physical volume of LVM',
    by: 'vgchange -ay (apt install lvm2)',
  },
  {
    at: 3,
    bytes: 'NTFS    ',
    what: 'an NTFS file system',
    by: 'mount -t ntfs3 -o ro, or ntfs-3g -o ro (apt install ntfs-3g)',
  },
  { at: 3, bytes: 'EXFAT   ', what: 'an exFAT file system', by: 'mount -t exfat -o ro' },
  { at: 82, bytes: 'FAT32   ', what: 'a FAT32 file system', by: FAT },
  { at: 54, bytes: 'FAT16   ', what: 'a FAT16 file system', by: FAT },
  { at: 54, bytes: 'FAT12   ', what: 'a FAT12 file system', by: FAT },
  {
    at: 1024,
    bytes: '\x10\x20\xf5\xf2',
    what: 'an F2FS file system',
    by: 'mount -t f2fs -o ro,norecovery',
  },
  { at: 32769, bytes: 'CD001', what: 'an ISO 9660 file system', by: 'mount -t iso9660 -o ro' },
  { at: 4086, bytes: 'SWAPSPACE2', what: 'swap space' },
  {
    at: 0,
    bytes: 'sqsh',
    what: 'a big-endian squashfs, of an old version',
    by: 'unsquashfs (apt install squashfs-tools)',
  },
];

/** File formats. The data of the image is such a file instead of a disk. */
const CONTAINERS: readonly Signature[] = [
  { at: 0, bytes: 'LSMT\x00\x01\x02', what: 'an OverlayBD layer' },
  { at: 0, bytes: 'ZFile\x00\x01', what: 'a ZFile' },
  { at: 257, bytes: 'ustar', what: 'a tar archive' },
  { at: 0, bytes: '\x1f\x8b\x08', what: 'a gzip file' },
  { at: 0, bytes: '\x28\xb5\x2f\xfd', what: 'a zstd file' },
  { at: 0, bytes: '\xfd7zXZ\0', what: 'an xz file' },
  { at: 0, bytes: 'BZh', what: 'a bzip2 file' },
  { at: 0, bytes: 'PK\x03\x04', what: 'a zip file' },
  { at: 0, bytes: '\x04\x22\x4d\x18', what: 'an lz4 file' },
  { at: 0, bytes: '7z\xbc\xaf\x27\x1c', what: 'a 7z file' },
  { at: 0, bytes: 'QFI\xfb', what: 'a qcow2 image' },
];

/**
 * @param head the first 68 KiB of the device, or all of it
 * @returns what is there and what to do about it, as the end of a sentence
 */
export function nameForeignData(head: Buffer): string {
  if (head.length === 0) return 'the device is empty';
  const sectors = [512, 4096].filter((at) => hasText(head, { at, bytes: 'EFI PART' }));
  if (sectors.length > 0) {
    return `it has a partition table (GPT): ${PARTITION}`;
  }
  const known = SIGNATURES.find((signature) => hasText(head, signature));
  if (known?.by !== undefined) {
    return `it holds ${known.what}: ${ATTACH}, and use it by hand: ${known.by}`;
  }
  if (known) return `it holds ${known.what}, which has no files`;
  const container = CONTAINERS.find((signature) => hasText(head, signature));
  if (container) return `it holds ${container.what}, not a file system: the image was built wrong`;
  if (hasMbr(head)) {
    return `it has a partition table (MBR): ${PARTITION}`;
  }
  if (head.every((byte) => byte === 0)) {
    const kib = Math.ceil(head.length / 1024);
    return `the first ${kib} KiB are zeros: the image is empty, or a layer is missing`;
  }
  return `it holds no known file system; it begins with ${head.toString('hex', 0, 16)}`;
}

function hasText(head: Buffer, { at, bytes }: Omit<Signature, 'what'>): boolean {
  return (
    head.length >= at + bytes.length && head.toString('latin1', at, at + bytes.length) === bytes
  );
}

/** The boot sector of a file system has the same signature, so the entries must be plausible too. */
function hasMbr(head: Buffer): boolean {
  if (head.length < 512 || head.readUInt16LE(510) !== 0xaa55) return false;
  const entries = [446, 462, 478, 494].map((at) => head.subarray(at, at + 16));
  const plausible = entries.every((entry) => entry[0] === 0 || entry[0] === 0x80);
  return plausible && entries.some((entry) => entry[4] !== 0 && entry.readUInt32LE(12) > 0);
}
