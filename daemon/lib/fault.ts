// Errors whose messages are made of their facts, so that the two cannot contradict each other.

import { OverlaybdError, type ErrorCode, type ErrorFacts } from '../errors.js';
import { quoted, shortened } from './printable.js';
import { withoutLogin } from './without-login.js';

/** Characters of a fact: PATH_MAX. A log line has fewer of them. */
const MAX_FACT_LENGTH = 4096;

/** An error with the message `SUBJECT: SECTION: why`. The subject is one of the facts. */
export function errorOf(
  code: ErrorCode,
  about: About,
  why: string,
  cause?: unknown,
): OverlaybdError {
  const clean = publicFacts(aboutOf(about));
  return new OverlaybdError(code, `${subjectOf(clean)}${why}`, { cause, facts: clean });
}

/** A value that is not what it must be: `SUBJECT: SECTION: expected X, got Y`. @param more a further sentence */
export function mismatch(
  code: ErrorCode,
  facts: ErrorFacts & Required<Pick<ErrorFacts, 'expected' | 'got'>>,
  more = '',
): OverlaybdError {
  const { expected, got } = publicFacts(facts);
  const what = `expected ${expected}, got ${got}`;
  return errorOf(code, facts, more === '' ? what : `${what}; ${more}`);
}

/** A number that is above one of our limits: `SUBJECT: SECTION: 300 layers, at most 255`. */
export function overLimit(
  facts: ErrorFacts,
  got: number,
  unit: string,
  most: number,
): OverlaybdError {
  const expected = `at most ${most}`;
  return errorOf('LIMIT', { ...facts, expected, got }, `${got} ${unit}, ${expected}`);
}

/** `SUBJECT: SECTION at byte OFFSET: ` for the begin of a message; empty if no fact can be its subject. */
export function subjectOf({ section, offset, ...facts }: ErrorFacts): string {
  const name = facts.export === undefined ? undefined : `export ${quoted(facts.export)}`;
  const subject =
    facts.path ??
    facts.blob ??
    facts.image ??
    name ??
    facts.device ??
    facts.digest ??
    facts.host ??
    facts.url;
  const at = offset === undefined ? '' : ` at byte ${offset}`;
  const place = section === undefined ? undefined : `${section}${at}`;
  return [subject, place].map((each) => (each === undefined ? '' : `${each}: `)).join('');
}

/** What messages begin with: facts, or the name of an image. */
export type About = string | ErrorFacts;

export function aboutOf(about: About): ErrorFacts {
  return typeof about === 'string' ? { image: about } : about;
}

/** The facts of a part of something. */
export function within(about: About, section: string): ErrorFacts {
  const facts = aboutOf(about);
  return {
    ...facts,
    section: facts.section === undefined ? section : `${facts.section}: ${section}`,
  };
}

/**
 * Adds what only a caller of the thrower knows to an error of ours. Facts that are there already stay.
 * @returns the same error
 */
export function withFacts(error: unknown, facts: ErrorFacts): unknown {
  if (error instanceof OverlaybdError) error.addFacts(publicFacts(facts));
  return error;
}

/** Facts without logins and signatures, each not longer than one of our limits. */
export function publicFacts<T extends ErrorFacts>(facts: T): T {
  const clean = Object.entries(facts).map(([name, value]) => [
    name,
    typeof value === 'string' ? publicFact(value) : (value as unknown),
  ]);
  return Object.fromEntries(clean) as T;
}

/** The query of a URL may be a signature; that of an NBD URI is the path of a socket. */
export function publicFact(value: string): string {
  const short = shortened(value, MAX_FACT_LENGTH);
  if (!short.includes('://')) return short;
  return withoutLogin(short).replace(/(https?:\/\/[^\s"'?]*)\?[^\s"']*/gi, '$1?...');
}
