// The forms of the benchmark's image, made once and kept in a folder. It starts no server.
import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import { crc32c } from '../../daemon/native/crc32c.js';
import type { Crc } from '../support/crc32c.js';
import { writeLsmtFile } from '../support/lsmt-writer.js';
import { writeZfileTo, type ZfileOptions } from '../support/zfile-writer.js';
import { makeExt4Image, MIB } from './ext4-image.js';
import { makeQcow2, makeXz } from './peer-images.js';
import { dealExtents, findExtents, type Extent } from './extents.js';

export type FormName = 'raw' | 'lsmt' | 'lz4' | 'lz4-8' | 'lz4-64k' | 'zstd' | 'qcow2' | 'xz';

export interface Form {
  /** Bottom layer first. */
  files: string[];
  /** Bytes of all files. */
  size: number;
}

/** Increases when the code would make other images than before. */
const VERSION = 1;
const STACK_LAYERS = 8;

/** One image in all its forms. */
export class ImageForms {
  /** Bytes. */
  readonly virtualSize: number;
  /** Where its files are kept between runs. */
  readonly folder: string;
  readonly #sizeMb: number;
  readonly #say: (line: string) => void;
  #extents: Extent[] | undefined;

  /** @param say called before long steps */
  constructor(dir: string, sizeMb: number, say: (line: string) => void) {
    this.virtualSize = sizeMb * MIB;
    this.#sizeMb = sizeMb;
    this.folder = join(dir, `v${VERSION}-${sizeMb}mb`);
    this.#say = say;
    mkdirSync(this.folder, { recursive: true });
  }

  /** Makes the form unless it exists. Its files end up in the page cache if memory is sufficient. */
  form(name: FormName): Form {
    const files = this.#files(name);
    for (const file of files) warm(file);
    return { files, size: files.reduce((sum, file) => sum + statSync(file).size, 0) };
  }

  #files(name: FormName): string[] {
    switch (name) {
      case 'raw':
        return [this.#once('ext4.img', (path) => makeExt4Image(path, this.#sizeMb))];
      case 'lsmt':
        return [this.#layer('lsmt.obd', () => this.#findExtents())];
      case 'lz4':
        return [this.#zfile('lz4.obd', this.#files('lsmt')[0], { algorithm: 'lz4' })];
      case 'lz4-64k':
        return [
          this.#zfile('lz4-64k.obd', this.#files('lsmt')[0], {
            algorithm: 'lz4',
            blockSize: 65536,
          }),
        ];
      case 'zstd':
        return [this.#zfile('zstd.obd', this.#files('lsmt')[0], { algorithm: 'zstd' })];
      case 'qcow2':
        return [this.#once('ext4.qcow2', (path) => makeQcow2(this.#raw, path))];
      case 'xz':
        return [this.#once('ext4.img.xz', (path) => makeXz(this.#raw, path))];
      case 'lz4-8':
        return Array.from({ length: STACK_LAYERS }, (_, i) => {
          const file = `lz4-8-${i}.obd`;
          if (existsSync(join(this.folder, file))) return join(this.folder, file);
          const plain = this.#layer(
            `lsmt-8-${i}.obd`,
            () => dealExtents(this.#findExtents(), STACK_LAYERS)[i] ?? [],
          );
          const made = this.#zfile(file, plain, { algorithm: 'lz4' });
          rmSync(plain);
          return made;
        });
    }
  }

  #findExtents(): Extent[] {
    this.#extents ??= withFile(this.#raw, 'r', (fd) => findExtents(fd, this.virtualSize));
    return this.#extents;
  }

  get #raw(): string {
    return this.#files('raw')[0] as string;
  }

  #layer(name: string, extents: () => Extent[]): string {
    return this.#once(name, (path) => {
      const segments = extents();
      withFile(this.#raw, 'r', (from) =>
        withFile(path, 'w', (to) =>
          writeLsmtFile(to, { virtualSize: this.virtualSize, segments, source: reader(from) }),
        ),
      );
    });
  }

  #zfile(name: string, plain: string | undefined, options: ZfileOptions): string {
    if (plain === undefined) throw new Error(`${name}: nothing to compress`);
    return this.#once(name, (path) => {
      withFile(plain, 'r', (from) =>
        withFile(path, 'w', (to) =>
          writeZfileTo(to, reader(from), fstatSync(from).size, { ...options, crc: nativeCrc }),
        ),
      );
    });
  }

  /** An interrupted run leaves no file that looks complete. */
  #once(name: string, make: (path: string) => void): string {
    const path = join(this.folder, name);
    if (existsSync(path)) return path;
    this.#say(`making ${path}`);
    const unfinished = `${path}.tmp`;
    make(unfinished);
    renameSync(unfinished, path);
    return path;
  }
}

const nativeCrc: Crc = (data, seed) => crc32c(data, 0, data.length, seed);

function withFile<T>(path: string, flags: string, use: (fd: number) => T): T {
  const fd = openSync(path, flags);
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

/** A writer uses one piece before it asks for the next, so one buffer is enough. */
function reader(fd: number): (offset: number, length: number) => Uint8Array {
  const buffer = Buffer.alloc(MIB);
  return (offset, length) => {
    const n = readSync(fd, buffer, 0, length, offset);
    if (n !== length) throw new Error(`fd ${fd}: ${n} bytes at ${offset}, expected ${length}`);
    return buffer.subarray(0, length);
  };
}

function warm(path: string): void {
  withFile(path, 'r', (fd) => {
    const buffer = Buffer.alloc(MIB);
    while (readSync(fd, buffer) > 0);
  });
}
