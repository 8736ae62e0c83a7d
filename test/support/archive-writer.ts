// Writes tar archives of several members for tests, member by member: ustar, pax or GNU headers, right or wrong.
const BLOCK = 512;

export interface ArchiveMember {
  name: string;
  /** Bytes of a file; text: the target of a link. */
  content?: Uint8Array | string;
  /** The type flag; '0' by default, '2' of a link. */
  type?: string;
  /** In place of the length of the content. */
  size?: number;
}

function header({ name, content = '', type = '0', size }: ArchiveMember): Buffer {
  const block = Buffer.alloc(BLOCK);
  const isLink = type === '1' || type === '2';
  const length = size ?? (isLink ? 0 : Buffer.byteLength(content));
  block.write(name.slice(0, 100), 0, 'utf8');
  block.write('0000644\0', 100, 'latin1');
  if (length < 0o77777777777)
    block.write(`${length.toString(8).padStart(11, '0')}\0`, 124, 'latin1');
  else {
    block[124] = 0x80;
    block.writeBigUInt64BE(BigInt(length), 128);
  }
  block.write(type, 156, 'latin1');
  if (isLink) block.write(String(content), 157, 'utf8');
  block.write('ustar\x0000', 257, 'latin1');
  return sealArchiveHeader(block);
}

/** Sums a header up again after it was changed. */
export function sealArchiveHeader(block: Buffer): Buffer {
  block.fill(' ', 148, 156);
  const sum = block.subarray(0, BLOCK).reduce((all, byte) => all + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

/** A header and its content, padded. */
export function archiveMember(member: ArchiveMember): Buffer {
  const { content = '', type = '0' } = member;
  const body = type === '1' || type === '2' ? Buffer.alloc(0) : Buffer.from(content);
  const gap = Buffer.alloc((BLOCK - (body.length % BLOCK)) % BLOCK);
  return Buffer.concat([header(member), body, gap]);
}

export function writeArchive(members: readonly ArchiveMember[]): Buffer {
  return Buffer.concat([...members.map(archiveMember), Buffer.alloc(2 * BLOCK)]);
}

/** A record of a pax header. */
export function paxRecord(key: string, value: string): string {
  const rest = Buffer.byteLength(` ${key}=${value}\n`);
  let length = rest + 1;
  while (String(length).length + rest !== length) length++;
  return `${length} ${key}=${value}\n`;
}
