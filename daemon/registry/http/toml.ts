// TOML to values, and the questions that its readers ask of a value.

import { parse, type TomlTable } from 'smol-toml';

/** Levels of nesting and lines are bounded by the size of the file. @throws TypeError */
export function parseToml(text: string): TomlTable {
  try {
    return parse(text);
  } catch (error) {
    // The message has a picture of the line, over several lines.
    const why = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
    throw new TypeError(why, { cause: error });
  }
}

export function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  return (
    typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date)
  );
}

export function textOr<D>(value: unknown, otherwise: D): string | D {
  return typeof value === 'string' && value !== '' ? value : otherwise;
}

/** A text, or an array of texts. */
export function textsOf(value: unknown): string[] {
  const all: unknown[] = Array.isArray(value) ? value : [value];
  return all.filter((each): each is string => typeof each === 'string' && each !== '');
}
