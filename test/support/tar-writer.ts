// Wraps one blob in a tar file as layers are stored in a registry; not a general tar writer.

const TAR_BLOCK = 512;
const REGULAR = '0';
const PAX = 'x';

export interface TarOptions {
  /** A pax header with the size first, as the reference writes it, or a plain ustar header alone. */
  pax: boolean;
  /** Of the file; 'overlaybd.commit' if left out. */
  name?: string;
}

/**
 * The blob in its wrapper, between one header (payload at 512) or three blocks of headers (at 1536) and two blocks
 * of zeros. With pax, the size stands in the pax record alone and the ustar size field says 0.
 */
export function wrapTar(
  payload: Uint8Array,
  { pax, name = 'overlaybd.commit' }: TarOptions,
): Buffer {
  const gap = Buffer.alloc(padding(payload.length));
  const end = Buffer.alloc(2 * TAR_BLOCK);
  if (!pax) {
    return Buffer.concat([fileHeader(name, payload.length), payload, gap, end]);
  }
  const record = paxRecord('size', String(payload.length));
  const header = tarBlock('overlaybd.pax', PAX, record.length);
  const body = Buffer.alloc(record.length + padding(record.length));
  body.set(record);
  return Buffer.concat([sealHeader(header), body, fileHeader(name, 0), payload, gap, end]);
}

function padding(length: number): number {
  return (TAR_BLOCK - (length % TAR_BLOCK)) % TAR_BLOCK;
}

/** "LENGTH KEY=VALUE\n", where LENGTH is the length of the whole record, including its own digits. */
function paxRecord(key: string, value: string): Buffer {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length++;
  return Buffer.from(`${length}${rest}`, 'latin1');
}

function fileHeader(name: string, size: number): Buffer {
  const block = tarBlock(name, REGULAR, size);
  // The reference also stores the file type bits, which ustar has in the type flag.
  number(block, 0o100644, 100, 6);
  number(block, 0, 108, 6);
  number(block, 0, 116, 6);
  number(block, 0, 136, 11);
  block.write('root', 265, 'latin1');
  block.write('root', 297, 'latin1');
  return sealHeader(block);
}

function tarBlock(name: string, type: string, size: number): Buffer {
  const block = Buffer.alloc(TAR_BLOCK);
  block.write(name, 0, 'latin1');
  number(block, size, 124, 11);
  block.write(type, 156, 'latin1');
  block.write('ustar\x0000', 257, 'latin1');
  return block;
}

/** The checksum is the sum of all bytes, with spaces in its own field. */
function sealHeader(block: Buffer): Buffer {
  block.fill(' ', 148, 156);
  let sum = 0;
  for (const byte of block) sum += byte;
  number(block, sum, 148, 6);
  block[155] = 0;
  return block;
}

/** Octal, padded with spaces to `digits`, then one space. */
function number(block: Buffer, value: number, at: number, digits: number): void {
  block.write(`${value.toString(8).padStart(digits)} `, at, 'latin1');
}
