// A small FAT16 volume in memory: files in the root directory, made in the same way every time. It has no
// subdirectories and no long names, and cannot read other volumes.

const SECTOR = 512;
const SECTORS_PER_CLUSTER = 2;
const CLUSTER = SECTOR * SECTORS_PER_CLUSTER;
const RESERVED_SECTORS = 1;
const FAT_COPIES = 2;
const ROOT_ENTRIES = 512;
const DIRECTORY_ENTRY = 32;
const ROOT_SECTORS = (ROOT_ENTRIES * DIRECTORY_ENTRY) / SECTOR;
const FIXED_DISK = 0xf8;
const FIRST_CLUSTER = 2;
const END_OF_CHAIN = 0xffff;
const FREE = 0;
const DELETED = 0xe5;
const ATTRIBUTE_ARCHIVE = 0x20;
const ATTRIBUTE_LABEL = 0x08;
/** The number of clusters makes it FAT16: drivers look at nothing else. */
const MIN_CLUSTERS = 4085;
const MAX_CLUSTERS = 65524;
/** 2024-01-01 12:00:00, for every time stamp. */
const DATE = ((2024 - 1980) << 9) | (1 << 5) | 1;
const TIME = 12 << 11;

/** Bytes of the volume. */
export interface FatExtent {
  offset: number;
  length: number;
}

export class FatImage {
  /** The bytes of the volume, which change with every call below. */
  readonly bytes: Buffer;
  private readonly fatSectors: number;
  private readonly clusters: number;

  /** `size` in bytes, from about 4.2 to 64 MiB; `label` up to 11 characters. */
  constructor(size: number, label: string) {
    const sectors = Math.floor(size / SECTOR);
    this.fatSectors = Math.ceil(((sectors / SECTORS_PER_CLUSTER) * 2) / SECTOR);
    const overhead = RESERVED_SECTORS + FAT_COPIES * this.fatSectors + ROOT_SECTORS;
    this.clusters = Math.floor((sectors - overhead) / SECTORS_PER_CLUSTER);
    if (this.clusters < MIN_CLUSTERS || this.clusters > MAX_CLUSTERS) {
      throw new RangeError(`fat image of ${size} bytes: ${this.clusters} clusters, not FAT16`);
    }
    this.bytes = Buffer.alloc(sectors * SECTOR);
    this.writeBootSector(sectors, label);
    this.setFat(0, 0xff00 | FIXED_DISK);
    this.setFat(1, END_OF_CHAIN);
    this.writeEntry(this.rootOffset, fixed(label, 11), ATTRIBUTE_LABEL, 0, 0);
  }

  /** Creates or replaces a file ("README.TXT"). A replaced file keeps its clusters as far as they suffice. */
  write(name: string, content: Uint8Array | string): void {
    const data = Buffer.from(content);
    const at = this.find(name) ?? this.freeEntry(name);
    const chain = this.isUsed(at) ? this.chainOf(at) : [];
    const wanted = Math.ceil(data.length / CLUSTER);
    for (const cluster of chain.splice(wanted)) this.setFat(cluster, FREE);
    while (chain.length < wanted) {
      const cluster = this.freeCluster(name);
      this.setFat(cluster, END_OF_CHAIN);
      chain.push(cluster);
    }
    for (const [index, cluster] of chain.entries()) {
      this.setFat(cluster, chain[index + 1] ?? END_OF_CHAIN);
      const { offset, length } = this.extentOf(cluster);
      this.bytes.fill(0, offset, offset + length);
      this.bytes.set(data.subarray(index * CLUSTER, (index + 1) * CLUSTER), offset);
    }
    this.writeEntry(at, shortName(name), ATTRIBUTE_ARCHIVE, chain[0] ?? 0, data.length);
  }

  /** Deletes a file. Its data stays in place; the returned extents are now free. */
  remove(name: string): FatExtent[] {
    const at = this.find(name);
    if (at === undefined) throw new Error(`fat image: no file ${name}`);
    const chain = this.chainOf(at);
    for (const cluster of chain) this.setFat(cluster, FREE);
    this.bytes[at] = DELETED;
    return chain.map((cluster) => this.extentOf(cluster));
  }

  /** Bytes. */
  private get rootOffset(): number {
    return (RESERVED_SECTORS + FAT_COPIES * this.fatSectors) * SECTOR;
  }

  private writeBootSector(sectors: number, label: string): void {
    const boot = this.bytes;
    boot.set([0xeb, 0x3c, 0x90], 0);
    boot.write('OBDNBD  ', 3, 'latin1');
    boot.writeUInt16LE(SECTOR, 11);
    boot.writeUInt8(SECTORS_PER_CLUSTER, 13);
    boot.writeUInt16LE(RESERVED_SECTORS, 14);
    boot.writeUInt8(FAT_COPIES, 16);
    boot.writeUInt16LE(ROOT_ENTRIES, 17);
    if (sectors < 65536) boot.writeUInt16LE(sectors, 19);
    else boot.writeUInt32LE(sectors, 32);
    boot.writeUInt8(FIXED_DISK, 21);
    boot.writeUInt16LE(this.fatSectors, 22);
    // Sectors a track and heads: no disk has them any more, but mtools requires them.
    boot.writeUInt16LE(32, 24);
    boot.writeUInt16LE(2, 26);
    boot.writeUInt8(0x80, 36);
    boot.writeUInt8(0x29, 38);
    boot.writeUInt32LE(0x0bd00001, 39);
    boot.write(fixed(label, 11), 43, 'latin1');
    boot.write('FAT16   ', 54, 'latin1');
    boot.writeUInt16LE(0xaa55, 510);
  }

  private writeEntry(
    at: number,
    name: string,
    attributes: number,
    first: number,
    size: number,
  ): void {
    const entry = this.bytes.subarray(at, at + DIRECTORY_ENTRY).fill(0);
    entry.write(name, 0, 'latin1');
    entry.writeUInt8(attributes, 11);
    entry.writeUInt16LE(TIME, 14);
    entry.writeUInt16LE(DATE, 16);
    entry.writeUInt16LE(DATE, 18);
    entry.writeUInt16LE(TIME, 22);
    entry.writeUInt16LE(DATE, 24);
    entry.writeUInt16LE(first, 26);
    entry.writeUInt32LE(size, 28);
  }

  private *entries(): Generator<number> {
    for (let index = 0; index < ROOT_ENTRIES; index++)
      yield this.rootOffset + index * DIRECTORY_ENTRY;
  }

  private find(name: string): number | undefined {
    const short = shortName(name);
    for (const at of this.entries()) {
      if (this.bytes.toString('latin1', at, at + 11) === short) return at;
    }
    return undefined;
  }

  private freeEntry(name: string): number {
    for (const at of this.entries()) if (!this.isUsed(at)) return at;
    throw new Error(`fat image: no directory entry left for ${name}`);
  }

  private isUsed(at: number): boolean {
    return this.bytes[at] !== 0 && this.bytes[at] !== DELETED;
  }

  private chainOf(at: number): number[] {
    const chain: number[] = [];
    let cluster = this.bytes.readUInt16LE(at + 26);
    while (cluster >= FIRST_CLUSTER && cluster !== END_OF_CHAIN) {
      chain.push(cluster);
      cluster = this.fat(cluster);
    }
    return chain;
  }

  private freeCluster(name: string): number {
    for (let cluster = FIRST_CLUSTER; cluster < FIRST_CLUSTER + this.clusters; cluster++) {
      if (this.fat(cluster) === FREE) return cluster;
    }
    throw new Error(`fat image: no cluster left for ${name}`);
  }

  private extentOf(cluster: number): FatExtent {
    const start = this.rootOffset + ROOT_SECTORS * SECTOR;
    return { offset: start + (cluster - FIRST_CLUSTER) * CLUSTER, length: CLUSTER };
  }

  private fat(cluster: number): number {
    return this.bytes.readUInt16LE(RESERVED_SECTORS * SECTOR + cluster * 2);
  }

  private setFat(cluster: number, value: number): void {
    for (let copy = 0; copy < FAT_COPIES; copy++) {
      const start = (RESERVED_SECTORS + copy * this.fatSectors) * SECTOR;
      this.bytes.writeUInt16LE(value, start + cluster * 2);
    }
  }
}

/** "README.TXT" as the eleven characters of a directory entry. */
function shortName(name: string): string {
  const match = /^([A-Z0-9_-]{1,8})(?:\.([A-Z0-9_-]{1,3}))?$/.exec(name);
  if (!match) throw new RangeError(`fat image: ${name}: not an upper-case 8.3 name`);
  return fixed(match[1] ?? '', 8) + fixed(match[2] ?? '', 3);
}

function fixed(text: string, length: number): string {
  return text.slice(0, length).padEnd(length);
}
