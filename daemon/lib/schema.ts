// Checks of values from outside against valibot schemas, and what is wrong with a value, in a sentence of
// ours. valibot's own texts ("Expected >=1 but received 0") are never shown. Knows no schema of its own.

import * as v from 'valibot';
import type { ErrorCode, ErrorFacts, OverlaybdError } from '../errors.js';
import { closest } from './closest.js';
import { errorOf, within } from './fault.js';
import { withoutLogin } from './without-login.js';

/** Characters of a wrong string that a message repeats. */
const MAX_SHOWN_LENGTH = 100;

/** What a value is not, as a sentence about it: `0 is not a whole number from 1 to 64`. */
const isNot =
  (what: string) =>
  ({ input }: v.BaseIssue<unknown>): string =>
    `${shown(input)} is not ${what}`;

/** An object of JSON, not an array: valibot's object schemas take arrays for objects without keys. */
export const jsonObject = v.custom<Record<string, unknown>>(
  (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
  isNot('an object'),
);

/** A safe integer within both bounds. */
export function wholeNumber(min: number, max = Number.MAX_SAFE_INTEGER) {
  const isInRange = (value: unknown): boolean =>
    Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max;
  const range = ` from ${min} to ${max}`;
  const open = max === Number.MAX_SAFE_INTEGER ? `, ${min} or more` : range;
  return v.custom<number>(isInRange, (issue) => {
    const isTooLarge = typeof issue.input === 'number' && issue.input > max;
    return isNot(`a whole number${isTooLarge ? range : open}`)(issue);
  });
}

/** A string of that form. @param what "octal digits, as "0660"" */
export function stringOf(what: string, form: RegExp) {
  return v.custom<string>((value) => typeof value === 'string' && form.test(value), isNot(what));
}

export const nonEmptyString = stringOf('a string with at least one character', /^[^]/);

/** An array with 1 to `most` items. */
export function someOf<S extends v.GenericSchema>(item: S, most = Infinity) {
  return v.pipe(
    v.array(item),
    v.minLength(1, 'the array is empty'),
    v.maxLength(
      most,
      ({ received }) => `the array has ${received} items; at most ${most} are allowed`,
    ),
  );
}

/** An object with these keys and no others. */
export function strictObject<const E extends v.ObjectEntries>(entries: E) {
  return v.pipe(jsonObject, strictKeys(entries));
}

/** Same, as a form of a `v.variant`; of any other object see {@link strictObject}. */
export function strictKeys<const E extends v.ObjectEntries>(entries: E) {
  return v.strictObject(entries, (issue) => {
    if (issue.expected === 'never') return unknownKey(String(issue.input), Object.keys(entries));
    if (issue.expected === 'Object') return isNot('an object')(issue);
    return misspelt(issue, entries) ?? `the key ${issue.expected} is missing`;
  });
}

/** A required key that is misspelt is missing, too; its own spelling says more. */
function misspelt({ path }: v.BaseIssue<unknown>, entries: v.ObjectEntries): string | undefined {
  const at = path?.at(-1);
  if (!at) return undefined;
  const missing = [String(at.key)];
  const key = Object.keys(at.input as object).find(
    (each) => !Object.hasOwn(entries, each) && closest(each, missing) !== undefined,
  );
  return key === undefined ? undefined : unknownKey(key, missing);
}

/** One of these, and nothing else. */
export function oneOf<const O extends readonly (string | number)[]>(options: O) {
  return v.picklist(options, ({ input }) => {
    const names = options.map((each) => JSON.stringify(each));
    const near = typeof input === 'string' ? closest(input, options.map(String)) : undefined;
    const hint = near === undefined ? '' : `; did you mean ${JSON.stringify(near)}?`;
    return `${shown(input)} is not one of ${names.join(', ')}${hint}`;
  });
}

/** What is wrong with a value. */
export interface ValueProblem extends Pick<ErrorFacts, 'section' | 'expected' | 'got'> {
  /** A sentence about the value. */
  readonly why: string;
}

/** The error of a wrong value. @param about names what has it; its section is a place, in which that of the value is */
export function valueError(
  code: ErrorCode,
  about: ErrorFacts,
  { why, ...problem }: ValueProblem,
  cause?: unknown,
): OverlaybdError {
  const { section, ...facts } = problem;
  const place = section === undefined ? about : within(about, section);
  return errorOf(code, { ...place, ...facts }, why, cause);
}

/**
 * @param problem makes the error
 * @throws what `problem` makes
 */
export function checked<S extends v.GenericSchema>(
  schema: S,
  value: unknown,
  problem: (what: ValueProblem) => Error,
): v.InferOutput<S> {
  // The first problem is enough: a hostile value may have a million of them.
  const result = v.safeParse(schema, value, { abortEarly: true, abortPipeEarly: true });
  if (result.success) return result.output;
  throw problem(problemOf(result.issues[0]));
}

/**
 * Where and what: `listen.0`, and `unknown key "adress"; did you mean "address"?`.
 * @param exact the digits of a number at that path, if no number of JavaScript has them all
 */
export function problemOf(
  issue: v.BaseIssue<unknown>,
  exact: (path: readonly (string | number)[]) => string | undefined = () => undefined,
): ValueProblem {
  const path = (issue.path ?? []).map(({ key }) => key as string | number);
  const text = sentence(issue);
  const digits = exact(path);
  const rounded = shown(issue.input);
  const isAbout = text.startsWith(rounded);
  const got = digits ?? rounded;
  const why = isAbout ? got + text.slice(rounded.length) : text;
  // A key that is unknown or missing is named by the sentence.
  const where = issue.type === 'strict_object' ? path.slice(0, -1) : path;
  const facts =
    isAbout && !isOfKey(issue) ? { got, ...expectedIn(text.slice(rounded.length)) } : {};
  return { ...(where.length > 0 && { section: where.join('.') }), why, ...facts };
}

/** The input of such an issue is a key, or lacks one. */
function isOfKey({ type, expected }: v.BaseIssue<unknown>): boolean {
  return type === 'strict_object' && expected !== 'Object';
}

/** From `... is not a string` to `a string`; without the hint of a likely value. */
function expectedIn(rest: string): Pick<ErrorFacts, 'expected'> {
  const expected = /^ is not ([^]*?)(?:; did you mean [^]*)?$/.exec(rest)?.[1];
  return expected === undefined ? {} : { expected };
}

/** The problems that valibot's own schemas find; the others have a sentence of this file. */
const KINDS: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  boolean: 'true or false',
  array: 'an array',
  object: 'an object',
  record: 'an object',
};

function sentence(issue: v.BaseIssue<unknown>): string {
  if (!issue.message.startsWith('Invalid ')) return issue.message;
  if (issue.type === 'object' && issue.input === undefined) return 'the key is missing';
  const kind = KINDS[issue.type];
  if (kind !== undefined) return isNot(kind)(issue);
  // A literal, or what tells the forms of a variant apart: `"connect" | "release"`.
  const options = /^\(?("[^"]*"|\d+)( \| "[^"]*")*\)?$/.test(issue.expected ?? '')
    ? (issue.expected ?? '').replace(/^\(|\)$/g, '').replaceAll(' | ', ', ')
    : null;
  if (options === null) return `${shown(issue.input)} is not allowed here`;
  return isNot(options.includes(', ') ? `one of ${options}` : options)(issue);
}

function unknownKey(key: string, known: readonly string[]): string {
  const near = closest(key, known);
  const hint =
    near === undefined
      ? `allowed: ${known.map((each) => JSON.stringify(each)).join(', ')}`
      : `did you mean ${JSON.stringify(near)}?`;
  return `unknown key ${shown(key)}; ${hint}`;
}

function shown(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'number') return String(value);
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object' && value !== null) return 'an object';
  if (typeof value !== 'string') return JSON.stringify(value);
  const text = withoutLogin(value);
  return JSON.stringify(
    text.length > MAX_SHOWN_LENGTH ? `${text.slice(0, MAX_SHOWN_LENGTH)}...` : text,
  );
}
