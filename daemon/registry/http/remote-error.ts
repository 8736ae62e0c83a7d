// The error that callers get: one sentence for an operator, and the same as facts.

import { OverlaybdError, type ErrorCode, type ErrorFacts } from '../../errors.js';
import { counted } from '../../lib/counted.js';
import { Failure } from './failure.js';
import type { Effort } from './rounds.js';
import { LateError } from './waiting.js';

export interface RemoteStory {
  /** "registry.example/repository@sha256:..., bytes 0-65535" */
  readonly subject: string;
  readonly facts: ErrorFacts;
  readonly seconds: number;
  /** Of the registry, if no host was asked. */
  readonly host: string;
  /** Whether it was the deadline that ended it. */
  readonly isLate: boolean;
}

/** @returns an OverlaybdError for a Failure or a deadline; anything else as it is */
export function remoteError(error: unknown, effort: Effort, story: RemoteStory): unknown {
  const isLate = error instanceof LateError || story.isLate;
  const failure = error instanceof Failure ? error : isLate ? effort.last : null;
  if (!failure && !isLate) return error;
  const { attempts } = effort;
  const seconds = Math.round(story.seconds * 10) / 10;
  const what = failure?.message ?? `${story.host} does not answer in time`;
  const tried = `${counted(attempts, 'attempt')} in ${seconds} s`;
  const message = `${story.subject}: ${what} (${tried}${isLate ? ', until the deadline' : ''})`;
  const status = failure?.status;
  const { expected, got } = failure?.facts ?? {};
  return new OverlaybdError(codeOf(failure), message, {
    cause: error,
    facts: {
      ...story.facts,
      host: failure?.host ?? story.host,
      failure: failure?.kind ?? 'late',
      attempts,
      seconds,
      ...(status === undefined ? {} : { status }),
      ...(expected === undefined ? {} : { expected }),
      ...(got === undefined ? {} : { got }),
    },
  });
}

function codeOf(failure: Failure | null): ErrorCode {
  if (failure?.kind === 'auth') return 'AUTH';
  if (failure?.kind === 'gone') return 'NOT_FOUND';
  return failure?.facts.isTooLong === true ? 'LIMIT' : 'REMOTE';
}
