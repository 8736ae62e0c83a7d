// What yargs lets through and an operator does not mean: an option given twice, which becomes a list
// and then nothing; `--no-tls`, which becomes false; `--lock-memory=yes`, which does too. Every
// option of every command goes through here, and whatever is not understood is an error.

import { OverlaybdError } from '../../errors.js';
import { closest } from '../../lib/closest.js';

/** What yargs knows of a command's options; all lists have the aliases, too. */
export interface KnownOptions {
  readonly key: Readonly<Record<string, unknown>>;
  readonly alias: Readonly<Record<string, readonly string[]>>;
  readonly array: readonly string[];
  readonly boolean: readonly string[];
  readonly number: readonly string[];
  readonly choices: Readonly<Record<string, readonly string[]>>;
}

/** An empty one is the default export; an empty path or address is a script's mistake. */
const MAY_BE_EMPTY = new Set(['export', 'e']);

/**
 * Has yargs give numbers as they were typed: its own are 3 for `-t 2 -t 1`, and 0 for an empty text.
 * @returns the names of those that were numbers
 */
export function numbersAsText(known: { number: string[]; string: string[] }): readonly string[] {
  const names = known.number.splice(0);
  known.string.push(...names);
  return names;
}

/**
 * Checks the values of all options, and leaves the last of those that were given more than once.
 * @param values by name and alias; changed
 * @param words of the command line, as they were typed
 * @param positionals names that are no options, though yargs would take them for some
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
 * For yargs' check(): its own conflicts() takes an option for given that was taken back by --no-NAME.
 * @throws OverlaybdError BAD_ARGUMENT when `option` is on and one of `others` is there
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
  // What --no-NAME makes.
  if (value === false) throw badArgument(`--no-${name}: leave ${dashed(name)} out instead`);
  if (value === true || (value === '' && !MAY_BE_EMPTY.has(name))) {
    throw badArgument(`${dashed(name)}: needs a value`);
  }
  const choices = known.choices[name];
  if (choices && !choices.includes(String(value))) {
    const near = closest(String(value), choices);
    const hint = near === undefined ? '' : `; did you mean ${near}?`;
    throw badArgument(
      `${dashed(name)} ${JSON.stringify(value)}: none of ${choices.join(', ')}${hint}`,
    );
  }
  return known.number.includes(name) ? numberOf(name, String(value)) : value;
}

/** Neither hexadecimal nor infinite nor with an exponent. */
function numberOf(name: string, text: string): number {
  if (/^[+-]?\d+(?:\.\d+)?$/.test(text)) return Number(text);
  throw badArgument(`${dashed(name)} ${JSON.stringify(text)}: not a number`);
}

/** What cannot be told from values any more. */
function checkWords(
  words: readonly string[],
  known: KnownOptions,
  positionals: ReadonlySet<string>,
): void {
  for (const word of words) {
    const [, name = '', given] = /^--?([^=]+)(?:=(.*))?$/s.exec(word) ?? [];
    if (word.startsWith('--') && positionals.has(name)) {
      throw badArgument(`--${name}: is no option: name it without --${name}`);
    }
    if (known.boolean.includes(name) && given !== undefined && !isBoolean(given)) {
      throw badArgument(`${dashed(name)}=${given}: is on or off: ${dashed(name)}, or --no-${name}`);
    }
  }
}

function isBoolean(text: string): boolean {
  return text === 'true' || text === 'false';
}

/** As it is typed. */
export function dashed(name: string): string {
  return name.length === 1 ? `-${name}` : `--${name}`;
}

/** The error of a wrong command line. */
export function badArgument(message: string): OverlaybdError {
  return new OverlaybdError('BAD_ARGUMENT', message);
}
