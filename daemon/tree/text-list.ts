// Lists of byte strings, one character a byte, as sections: all their bytes, and how long each is.

import type { Section, SectionReader } from '../lib/sections.js';

/** @param name of the list: the beginning of the names of its sections */
export function textSections(name: string, texts: readonly string[]): [string, Section][] {
  const lengths = Uint32Array.from(texts, (each) => each.length);
  return [
    [`${name}.lengths`, lengths],
    [`${name}.bytes`, Buffer.from(texts.join(''), 'latin1')],
  ];
}

/** @throws OverlaybdError BAD_FORMAT */
export function textsOf(name: string, sections: SectionReader): string[] {
  const lengths = sections.take(`${name}.lengths`, Uint32Array);
  const size = lengths.reduce((sum, each) => sum + each, 0);
  const { buffer, byteOffset } = sections.take(`${name}.bytes`, Uint8Array, size);
  const bytes = Buffer.from(buffer, byteOffset, size);
  const texts: string[] = [];
  let at = 0;
  for (const length of lengths) texts.push(bytes.toString('latin1', at, (at += length)));
  return texts;
}
