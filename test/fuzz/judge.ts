// Compares the bytes of a client with the bytes that it received: a second, independent model of the protocol reads
// both streams side by side. It knows the right answer to any bytes, so it does not need to know how they were made.
// Its rules:
//
// - Every option gets its replies in order, and exactly one final reply of the right type. The facts about exports and
//   contexts in the replies are true.
// - Every complete request on a valid stream is answered exactly once, in the negotiated form, and nothing else is
//   sent. After NBD_CMD_DISC everything is answered before the end.
// - The chunks of a read are within its range, do not overlap, and cover it unless it fails. Data equals that of the
//   export, holes are sent only for bytes that are not stored, DF means one chunk, and only the last chunk has DONE.
// - The extents of a block status are true, joined, within the range, and sent once for each context.
// - Errors are the right errors of the protocol. A read fails if and only if bytes cannot be read.
// - Bytes that break the protocol end the connection.
import type { ModelExport } from './model-export.js';
import { judgeHandshake } from './judge-handshake.js';
import { judgeTransmission } from './judge-transmission.js';
import { Short, type ByteReader } from './byte-reader.js';

export interface Streams {
  /** The bytes that the daemon received. */
  readonly said: ByteReader;
  /** The bytes that came back so far. */
  readonly heard: ByteReader;
  readonly exports: readonly ModelExport[];
  /** Called for everything that was answered, for the coverage counts. */
  readonly count: (what: string) => void;
}

export interface Verdict {
  /** Everything that must be answered has been answered. */
  complete: boolean;
  /** Whether the daemon must end the connection: because of NBD_CMD_DISC, or of a protocol error. */
  over: 'no' | 'goodbye' | 'broken';
  /** Commands that the daemon can have accepted, without NBD_CMD_DISC. */
  requests: number;
  /** Commands that have been answered. */
  answered: number;
  /** Two requests cannot be distinguished, so their replies cannot be assigned. */
  ambiguous: boolean;
}

/** @throws Violation */
export function judge(streams: Streams): Verdict {
  const verdict: Verdict = {
    complete: false,
    over: 'no',
    requests: 0,
    answered: 0,
    ambiguous: false,
  };
  try {
    const session = judgeHandshake(streams, verdict);
    if (session) judgeTransmission(streams, session, verdict);
    else streams.heard.nothingMore('in the handshake');
  } catch (error) {
    if (!(error instanceof Short)) throw error;
    return verdict;
  }
  verdict.complete = !verdict.ambiguous && verdict.answered === verdict.requests;
  return verdict;
}
