// What a client is told of a failure. The log has the whole story, with paths; a client, who may be
// anyone, gets an errno and, where the form of replies allows it, a sentence without them.

import { OverlaybdError, type ErrorCode } from '../errors.js';

const SENTENCES: Partial<Record<ErrorCode, string>> = {
  BAD_CHECKSUM: 'stored data is corrupt: a checksum does not match',
  BAD_DATA: 'stored data is corrupt: a block does not decode',
  SHORT_READ: 'a layer ends before its data',
  IO: 'a layer cannot be read',
};

/** One sentence for people, as clients print it. */
export function describeFailure(error: unknown): string {
  const known = error instanceof OverlaybdError ? SENTENCES[error.code] : undefined;
  return `${known ?? 'the read failed'}; the server's log says more`;
}
