// One change of compiled JavaScript: of a constant as one of its users sees it, or of a text that must occur exactly
// once. Tests see the true constants, so a test that goes up to a constant notices if its user goes further.

/** @throws unless the text has exactly one such part */
export function replaceOnce(text: string, part: string, by: string): string {
  const at = text.indexOf(part);
  if (at < 0) throw new Error(`it does not have: ${part}`);
  if (text.includes(part, at + 1)) throw new Error(`it has more than one: ${part}`);
  return text.slice(0, at) + by + text.slice(at + part.length);
}

export interface LimitImport {
  /** The specifier as written: relative. */
  readonly module: string;
  readonly constants: readonly string[];
}

const LIMIT_IMPORT = /^import \{([^}]*)\} from '(\.[^']*\blimits\.js)';$/gm;

/** What a compiled file imports from files of limits. */
export function limitImportsOf(text: string): LimitImport[] {
  return Array.from(text.matchAll(LIMIT_IMPORT), ([, names = '', module = '']) => ({
    module,
    constants: names
      .split(',')
      .map((name) => name.trim())
      .filter((name) => name !== ''),
  }));
}

/**
 * Gives the importing file another value than the one that it imports.
 * @param expression of the true value, as in "value * 2"
 * @throws if the file does not import the constant exactly once
 */
export function mutateImport(text: string, constant: string, expression: string): string {
  const matches = Array.from(text.matchAll(LIMIT_IMPORT)).filter(([, names = '']) =>
    names.split(',').some((name) => name.trim() === constant),
  );
  const [whole = ''] = matches[0] ?? [];
  if (matches.length !== 1) throw new Error(`it imports ${constant} ${matches.length} times`);
  const renamed = whole.replace(new RegExp(`\\b${constant}\\b`), `${constant} as true_${constant}`);
  // On the same line, so that stack traces keep their line numbers.
  return replaceOnce(
    text,
    whole,
    `${renamed} const ${constant} = ((value) => ${expression})(true_${constant});`,
  );
}
