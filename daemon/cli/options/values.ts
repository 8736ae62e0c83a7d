// Checks the values of all options of all commands, and refuses what yargs would misread: an option that is
// given twice becomes a list, `--no-tls` becomes false, and so does `--lock-memory=yes`.

import { OverlaybdError } from '../../errors.js';
import { closest } from '../../lib/closest.js';

/** The options of a command as yargs knows them. All lists include the aliases. */
export interface KnownOptions {
  readonly key: Readonly<Record<string, unknown>>;
  readonly alias: Readonly<Record<string, readonly string[]>>;
  readonly array: readonly string[];
  readonly boolean: readonly string[];
  readonly number: readonly string[];
  readonly choices: Readonly<Record<string, readonly string[]>>;
}

/** '' is the default export. An empty path or address is a mistake in a script. */
const MAY_BE_EMPTY = new Set(['export', 'e']);

/**
 * Makes yargs keep numbers as text: it would read `-t 2 -t 1` as 3, and an empty text as 0.
 * @returns the names of the number options
 */
export function numbersAsText(known: { number: string[]; string: string[] }): readonly string[] {
  const names = known.number.splice(0);
  known.string.push(...names);
  return names;
}

/**
 * Checks the values of all options. Keeps the last value of an option that is given more than once.
 * @param values by name and alias; changed
 * @param words of the command line, as they were typed
 * @param positionals names that yargs would accept as options, but that are not
 * @throws OverlaybdError BAD_ARGUMENT
 */
export function settleOptions(
  values: Record<string, unknown>,
  words: readonly string[],
  known: KnownOptions,
  positionals: ReadonlySet<string>,
): void {
  checkWords(words, known, positionals);
  for (const name of namesOf(known)) {
    const value = values[name];
    if (value === undefined || positionals.has(name)) continue;
    const given: readonly unknown[] = Array.isArray(value) ? value : [value];
    const all = given.map((each) => settled(name, each, known));
    values[name] = known.array.includes(name) ? all : all.at(-1);
  }
}

export function namesOf(known: KnownOptions): Set<string> {
  return new Set([...Object.keys(known.key), ...Object.values(known.alias).flat()]);
}

/**
 * For yargs' check(). yargs' own conflicts() ignores that --no-NAME turns an option off.
 * @throws OverlaybdError BAD_ARGUMENT if `option` is on and one of `others` is given
 */
export function notWith<Name extends string>(option: Name, others: readonly Name[]) {
  return (args: Readonly<Partial<Record<Name, unknown>>>): true => {
    const isGiven = (each: Name): boolean => args[each] !== undefined && args[each] !== false;
    const other = isGiven(option) ? others.find(isGiven) : undefined;
    if (other === undefined) return true;
    throw badArgument(`${dashed(option)} and ${dashed(other)} are mutually exclusive`);
  };
}

function settled(name: string, value: unknown, known: KnownOptions): unknown {
  if (known.boolean.includes(name)) return value;
  // --no-NAME was given.
  if (value === false) throw badArgument(`--no-${name}: leave ${dashed(name)} out instead`);
  if (value === true || (value === '' && !MAY_BE_EMPTY.has(name))) {
    throw badArgument(`${dashed(name)}: needs a value`);
  }
  const choices = known.choices[name];
  if (choices) oneOfWords(dashed(name), String(value), choices);
  return known.number.includes(name) ? numberOf(name, String(value)) : value;
}

/** Accepts decimal numbers only: not hexadecimal, not infinite, no exponent. */
function numberOf(name: string, text: string): number {
  if (/^[+-]?\d+(?:\.\d+)?$/.test(text)) return Number(text);
  throw badArgument(`${dashed(name)} ${JSON.stringify(text)}: not a number`);
}

/** Checks that need the words as they were typed. */
function checkWords(
  words: readonly string[],
  known: KnownOptions,
  positionals: ReadonlySet<string>,
): void {
  for (const word of words) {
    const [, name = '', given] = /^--?([^=]+)(?:=(.*))?$/s.exec(word) ?? [];
    if (word.startsWith('--') && positionals.has(name)) {
      throw badArgument(`--${name}: is not an option: write the value without --${name}`);
    }
    if (known.boolean.includes(name) && given !== undefined && !isBoolean(given)) {
      throw badArgument(`${dashed(name)}=${given}: is on or off: ${dashed(name)}, or --no-${name}`);
    }
  }
}

function isBoolean(text: string): boolean {
  return text === 'true' || text === 'false';
}

/**
 * The words that name an image. As a path, '' would be the working directory.
 * @throws OverlaybdError BAD_ARGUMENT
 */
export function imageWords(words: readonly string[] = []): readonly string[] {
  if (!words.includes('')) return words;
  throw badArgument('an image is empty: name a file');
}

/**
 * The known word that was given.
 * @param subject what takes such a word, for the message
 * @throws OverlaybdError BAD_ARGUMENT with all known words, and the closest one if there is one
 */
export function oneOfWords<Word extends string>(
  subject: string,
  given: string,
  known: readonly Word[],
): Word {
  const word = known.find((each) => each === given);
  if (word !== undefined) return word;
  const near = closest(given, known);
  const hint = near === undefined ? '' : `; did you mean ${near}?`;
  throw badArgument(`${subject} ${JSON.stringify(given)}: not one of ${known.join(', ')}${hint}`);
}

/** The option as it is typed. */
export function dashed(name: string): string {
  return name.length === 1 ? `-${name}` : `--${name}`;
}

/** The error of a wrong command line. @param message that begins with the option, if it is about one */
export function badArgument(message: string): OverlaybdError {
  const section = /^--[a-z-]+/.exec(message)?.[0];
  const facts = section === undefined ? {} : { section };
  return new OverlaybdError('BAD_ARGUMENT', message, { facts });
}
