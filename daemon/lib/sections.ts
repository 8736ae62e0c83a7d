// Named arrays of numbers and a value as bytes, and back: what records in files are made of. Pure. The numbers are in the
// byte order of the machine, which is that of all machines that the program runs on.

import { OverlaybdError } from '../errors.js';

export type Section = Uint8Array | Uint16Array | Uint32Array | Float64Array;
export type Sections = ReadonlyMap<string, Section>;
type SectionType<T extends Section> = new (buffer: ArrayBufferLike, at: number, n: number) => T;

const TYPES: Readonly<Record<number, SectionType<Section>>> = {
  1: Uint8Array,
  2: Uint16Array,
  4: Uint32Array,
  8: Float64Array,
};
/** Each section begins at a multiple of this. */
const ALIGNMENT = 8;
const LENGTH_SIZE = 4;

interface Header {
  readonly value: unknown;
  /** Name, bytes of a number, numbers. */
  readonly sections: readonly (readonly [name: string, width: number, length: number])[];
}

const aligned = (size: number): number => Math.ceil(size / ALIGNMENT) * ALIGNMENT;

/** @param value of JSON */
export function packSections(value: unknown, sections: Sections): Buffer {
  const header: Header = {
    value,
    sections: [...sections].map(([name, each]) => [name, each.BYTES_PER_ELEMENT, each.length]),
  };
  const text = Buffer.from(JSON.stringify(header));
  let size = aligned(LENGTH_SIZE + text.length);
  for (const each of sections.values()) size += aligned(each.byteLength);
  const bytes = Buffer.alloc(size);
  bytes.writeUInt32LE(text.length);
  text.copy(bytes, LENGTH_SIZE);
  let at = aligned(LENGTH_SIZE + text.length);
  for (const each of sections.values()) {
    bytes.set(new Uint8Array(each.buffer, each.byteOffset, each.byteLength), at);
    at += aligned(each.byteLength);
  }
  return bytes;
}

/**
 * @param bytes of {@link packSections}, at a multiple of 8 of their memory, which the sections are a part of
 * @param name for messages
 * @throws OverlaybdError BAD_FORMAT
 */
export function unpackSections(
  bytes: Buffer,
  name: string,
): { readonly value: unknown; readonly sections: SectionReader } {
  const bad = (): OverlaybdError => new OverlaybdError('BAD_FORMAT', `${name}: not a record`);
  if (bytes.length < LENGTH_SIZE || bytes.byteOffset % ALIGNMENT !== 0) throw bad();
  const textEnd = LENGTH_SIZE + bytes.readUInt32LE();
  if (textEnd > bytes.length) throw bad();
  const header = headerOf(bytes.toString('utf8', LENGTH_SIZE, textEnd));
  if (!header) throw bad();
  const sections = new Map<string, Section>();
  let at = aligned(textEnd);
  for (const [section, width, length] of header.sections) {
    const Type = TYPES[width];
    if (!Type || at + width * length > bytes.length) throw bad();
    sections.set(section, new Type(bytes.buffer, bytes.byteOffset + at, length));
    at += aligned(width * length);
  }
  return { value: header.value, sections: new SectionReader(sections, name) };
}

function headerOf(text: string): Header | null {
  try {
    const header = JSON.parse(text) as Partial<Header> | null;
    const sections: unknown = header?.sections;
    return Array.isArray(sections) && sections.every(isSection) ? (header as Header) : null;
  } catch {
    return null;
  }
}

function isSection(each: unknown): boolean {
  if (!Array.isArray(each)) return false;
  const [name, width, length] = each as unknown[];
  const areNumbers = Number.isSafeInteger(width) && Number.isSafeInteger(length);
  return typeof name === 'string' && areNumbers && (length as number) >= 0;
}

/** Sections whose types and lengths are checked when they are taken. */
export class SectionReader {
  readonly #sections: Sections;
  readonly #name: string;

  /** @param name for messages */
  constructor(sections: Sections, name: string) {
    this.#sections = sections;
    this.#name = name;
  }

  /** @throws OverlaybdError BAD_FORMAT if it is not there, or has another type or length */
  take<T extends Section>(name: string, Type: SectionType<T>, length?: number): T {
    const found = this.#sections.get(name);
    if (found instanceof Type && (length === undefined || found.length === length)) return found;
    throw new OverlaybdError('BAD_FORMAT', `${this.#name}: section ${name}: missing or damaged`);
  }

  /** The same as a copy that all threads can read. */
  takeShared<T extends Section>(name: string, Type: SectionType<T>, length?: number): T {
    const found = this.take(name, Type, length);
    const copy = new Type(new SharedArrayBuffer(found.byteLength), 0, found.length);
    copy.set(found);
    return copy;
  }
}
