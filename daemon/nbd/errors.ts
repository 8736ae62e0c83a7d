// The errors of the protocol: clients that break it, and the text of a failure for clients. The log has the
// whole story, with paths; a client, which may be anyone's, gets an error number and, if the form of
// replies allows it, a sentence without paths.

import { OverlaybdError, type ErrorCode } from '../errors.js';
import { NBD_EIO, NBD_ENOMEM } from './constants.js';

/** The rest of the stream cannot be parsed. Ends the client's connection, nothing else. */
export class ProtocolError extends OverlaybdError {
  constructor(message: string) {
    super('PROTOCOL', message);
    this.name = 'ProtocolError';
  }
}

const SENTENCES: Partial<Record<ErrorCode, string>> = {
  BAD_CHECKSUM: 'stored data is corrupt: a checksum does not match',
  BAD_DATA: 'stored data is corrupt: a block does not decode',
  SHORT_READ: 'a layer ends before its data',
  IO: 'a layer cannot be read',
};

/** One sentence for people, which clients print. */
export function describeFailure(error: unknown): string {
  const known = error instanceof OverlaybdError ? SENTENCES[error.code] : undefined;
  return `${known ?? 'the read failed'}; the server's log says more`;
}

/** The error number for the client. Every OverlaybdError is NBD_EIO: the bytes cannot be read. */
export function nbdErrno(error: unknown): number {
  // An array buffer could not be allocated; the client may try again.
  const isMemory =
    error instanceof RangeError && error.message.startsWith('Array buffer allocation');
  return isMemory ? NBD_ENOMEM : NBD_EIO;
}
