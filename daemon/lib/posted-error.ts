// Errors on their way between threads and processes: neither structured clone nor JSON keeps class, code and facts.

import {
  FACT_TYPES,
  OverlaybdError,
  factsOf,
  fullStory,
  knownCode,
  messageOf,
  type ErrorCode,
  type ErrorFacts,
} from '../errors.js';
import { publicFacts } from './fault.js';

/** Causes of causes that are kept. */
const MAX_CAUSES = 8;

export interface PostedError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly facts: ErrorFacts;
  /** Absent: it has none. */
  readonly cause?: PostedError | SystemCause;
}

/** A cause that is no error of ours. */
interface SystemCause {
  readonly message: string;
}

/** @param causes how many causes of causes are kept at most */
export function postedError(error: unknown, causes = MAX_CAUSES): PostedError {
  const code = error instanceof OverlaybdError ? error.code : 'BUG';
  const cause = error instanceof OverlaybdError && causes > 0 ? error.cause : undefined;
  return {
    code,
    message: fullStory(error),
    facts: publicFacts(factsOf(error)),
    ...(cause !== undefined && { cause: postedCause(cause, causes - 1) }),
  };
}

/** An error of the system is a cause, and no bug. */
function postedCause(cause: unknown, causes: number): PostedError | SystemCause {
  return cause instanceof OverlaybdError
    ? postedError(cause, causes)
    : { message: messageOf(cause) };
}

export function rebuiltError({ code, message, facts, cause }: PostedError): OverlaybdError {
  return new OverlaybdError(code, message, {
    facts,
    ...(cause && { cause: 'code' in cause ? rebuiltError(cause) : new Error(cause.message) }),
  });
}

/**
 * The error in an answer of another process, whose version may be another one, and which may be hostile.
 * @param value of any type
 * @param unknown the message if there is none
 */
export function receivedError(
  value: unknown,
  unknown: string,
  causes = MAX_CAUSES,
): OverlaybdError {
  const { code, message, facts, cause } = (value ?? {}) as Record<keyof PostedError, unknown>;
  const text = typeof message === 'string' ? message : unknown;
  const isCaused = typeof cause === 'object' && cause !== null && causes > 0;
  const inner = isCaused ? receivedError(cause, unknown, causes - 1) : undefined;
  return new OverlaybdError(knownCode(code), text, {
    facts: receivedFacts(facts),
    // An error of the system has no code of ours.
    ...(inner && {
      cause: Object.hasOwn(cause as object, 'code') ? inner : new Error(inner.message),
    }),
  });
}

/** The facts of which this version knows the names, if they have the types that it knows. */
function receivedFacts(value: unknown): ErrorFacts {
  const given = (value ?? {}) as Record<string, unknown>;
  const known = Object.entries(FACT_TYPES).filter(
    ([name, types]) =>
      Object.hasOwn(given, name) && types.split(' or ').includes(typeof given[name]),
  );
  return publicFacts(Object.fromEntries(known.map(([name]) => [name, given[name]])) as ErrorFacts);
}
