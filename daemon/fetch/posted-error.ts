// Errors on their way between threads: structured clone loses the class and the code.

import { OverlaybdError, factsOf, fullStory, type ErrorCode, type ErrorFacts } from '../errors.js';

export interface PostedError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly facts: ErrorFacts;
}

export function postedError(error: unknown): PostedError {
  const code = error instanceof OverlaybdError ? error.code : 'BUG';
  return { code, message: fullStory(error), facts: factsOf(error) };
}

export function rebuiltError({ code, message, facts }: PostedError): OverlaybdError {
  return new OverlaybdError(code, message, { facts });
}
