// Writes archives of the POSIX ustar form for tests: what every reader of tars knows, and no extension.

export interface TarFile {
  name: string;
  /** '0' if left out: a regular file. */
  type?: '0' | '1' | '2' | '3' | '4' | '5' | '6';
  bytes?: Uint8Array;
  mode?: number;
  uid?: number;
  gid?: number;
  mtime?: number;
  link?: string;
  device?: [number, number];
}

export function writeUstar(files: readonly TarFile[]): Buffer {
  const parts: Buffer[] = [];
  for (const file of files) {
    const bytes = Buffer.from(file.bytes ?? []);
    parts.push(header(file, bytes.length), bytes, Buffer.alloc(-bytes.length & 511));
  }
  return Buffer.concat([...parts, Buffer.alloc(1024)]);
}

function header(
  { name, type = '0', mode = 0o644, uid = 0, gid = 0, mtime = 0, link = '', device }: TarFile,
  size: number,
): Buffer {
  const block = Buffer.alloc(512);
  const octal = (value: number, at: number, digits: number): unknown =>
    block.write(value.toString(8).padStart(digits, '0'), at, 'latin1');
  block.write(name, 0, 100, 'latin1');
  octal(mode, 100, 7);
  octal(uid, 108, 7);
  octal(gid, 116, 7);
  octal(size, 124, 11);
  octal(mtime, 136, 11);
  block.write(type, 156, 'latin1');
  block.write(link, 157, 100, 'latin1');
  block.write('ustar\x0000', 257, 'latin1');
  octal(device?.[0] ?? 0, 329, 7);
  octal(device?.[1] ?? 0, 337, 7);
  block.fill(' ', 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}
