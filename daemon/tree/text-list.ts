// Lists of byte strings, one character a byte, and of bytes as sections: all their bytes, and how long each is. What is long is
// never on the heap all at once.

import type { Section, SectionReader } from '../lib/sections.js';

/** @param name of the list: the beginning of the names of its sections */
export function textSections(name: string, texts: readonly string[]): [string, Section][] {
  return sectionsOf(name, texts, (text, all, at) => all.write(text, at, 'latin1'));
}

/** The same sections. */
export function byteSections(name: string, values: readonly Uint8Array[]): [string, Section][] {
  return sectionsOf(name, values, (value, all, at) => all.set(value, at));
}

/** @throws OverlaybdError BAD_FORMAT */
export function textsOf(name: string, sections: SectionReader): string[] {
  return listOf(name, sections, (all, begin, end) => all.toString('latin1', begin, end));
}

/** Copies. @throws OverlaybdError BAD_FORMAT */
export function bytesOf(name: string, sections: SectionReader): Uint8Array[] {
  return listOf(name, sections, (all, begin, end) => new Uint8Array(all.subarray(begin, end)));
}

/** @throws OverlaybdError BAD_FORMAT */
export function lengthsOf(name: string, sections: SectionReader): Uint32Array {
  return sections.take(`${name}.lengths`, Uint32Array);
}

function sectionsOf<T extends { readonly length: number }>(
  name: string,
  list: readonly T[],
  write: (each: T, all: Buffer, at: number) => unknown,
): [string, Section][] {
  const lengths = Uint32Array.from(list, (each) => each.length);
  const all = Buffer.allocUnsafeSlow(lengths.reduce((sum, each) => sum + each, 0));
  let at = 0;
  for (const each of list) {
    write(each, all, at);
    at += each.length;
  }
  return [
    [`${name}.lengths`, lengths],
    [`${name}.bytes`, all],
  ];
}

function listOf<T>(
  name: string,
  sections: SectionReader,
  read: (all: Buffer, begin: number, end: number) => T,
): T[] {
  const lengths = lengthsOf(name, sections);
  const size = lengths.reduce((sum, each) => sum + each, 0);
  const { buffer, byteOffset } = sections.take(`${name}.bytes`, Uint8Array, size);
  const all = Buffer.from(buffer, byteOffset, size);
  const list: T[] = [];
  let at = 0;
  for (const length of lengths) list.push(read(all, at, (at += length)));
  return list;
}
