// TOML to values, and the questions that its readers ask of a value.

import { parse, TomlError, type TomlTable } from 'smol-toml';

/** Levels of nesting and lines are bounded by the size of the file. @throws TypeError */
export function parseToml(text: string): TomlTable {
  try {
    return parse(text);
  } catch (error) {
    throw new TypeError(error instanceof TomlError ? placed(error) : String(error), {
      cause: error,
    });
  }
}

/** Of the parser's message, the first line: the others are a picture of the line, which may have a secret. */
function placed({ message, line, column }: TomlError): string {
  const [first = ''] = message.split('\n');
  const why = first.replace(/^Invalid TOML document: /, '');
  return `not TOML: ${why} at line ${line}, column ${column}; correct it there`;
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
