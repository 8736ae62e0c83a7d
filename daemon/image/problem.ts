// Why an export or a device has no image, for status, log and clients; and when it is tried again.

import { codeOf, factsOf, fullStory, type ErrorCode, type ErrorFacts } from '../errors.js';
import { publicFacts } from '../lib/fault.js';

/** The first try again; each further one waits twice as long as the one before. */
export const FIRST_RETRY_MS = 1000;
export const LAST_RETRY_MS = 60_000;

export interface ImageProblem {
  readonly code: ErrorCode;
  /** What the error is about, as fields of a log line. */
  readonly facts?: ErrorFacts;
  readonly message: string;
  /** ISO 8601: when it was first found to fail. */
  readonly since: string;
  /** How often it was tried. */
  readonly tries: number;
}

/**
 * @param error what was thrown
 * @param before what was known of it; null for the first time
 */
export function problemOf(error: unknown, before: ImageProblem | null): ImageProblem {
  return {
    code: codeOf(error),
    facts: publicFacts(factsOf(error)),
    message: fullStory(error),
    since: before?.since ?? new Date().toISOString(),
    tries: (before?.tries ?? 0) + 1,
  };
}

/** The image takes long to open; no fault is known. */
export function beingOpened(): ImageProblem {
  const message = 'its image is still being opened; the others are served';
  return { code: 'BUSY', message, since: new Date().toISOString(), tries: 0 };
}

export function retryDelayMs({ tries }: ImageProblem): number {
  return Math.min(FIRST_RETRY_MS * 2 ** Math.min(Math.max(tries - 1, 0), 30), LAST_RETRY_MS);
}
