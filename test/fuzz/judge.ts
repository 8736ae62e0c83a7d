// Compares what a client said with what it heard: both streams are read side by side by a second,
// independent understanding of the protocol. It knows what the daemon has to answer to any bytes, so
// it needs no idea of how they came to be. What it holds the daemon to:
//
// - Every option gets its replies in order and exactly one that ends them, of a kind that is right for
//   what was asked; what the replies tell of exports and contexts is true.
// - Every request that stands whole on a stream that is whole up to there is answered exactly once, in
//   the form that was agreed on; nothing else is said. After a goodbye all is answered before the end.
// - Chunks of a read lie within it, do not overlap, and cover it unless it fails; data equals the
//   export's, holes are only where nothing is stored; DF means one chunk; DONE is on the last only.
// - Extents of a block status are true, joined, within the range, once for each context.
// - Errors are those of the protocol, and the right ones; reads fail if and only if bytes are missing.
// - Whatever breaks the protocol ends the connection.
import type { ModelExport } from './model-export.js';
import { judgeHandshake } from './judge-handshake.js';
import { judgeTransmission } from './judge-transmission.js';
import { Short, type ByteReader } from './byte-reader.js';

export interface Streams {
  /** What the daemon has been sent. */
  readonly said: ByteReader;
  /** What came back so far. */
  readonly heard: ByteReader;
  readonly exports: readonly ModelExport[];
  /** Told of everything that was answered, for the coverage. */
  readonly count: (what: string) => void;
}

export interface Verdict {
  /** Everything that must be answered has been. */
  complete: boolean;
  /** Whether the daemon must end the connection: because of a goodbye, or of broken protocol. */
  over: 'no' | 'goodbye' | 'broken';
  /** Commands that the daemon can have taken, without the goodbye. */
  requests: number;
  /** Those that have been answered. */
  answered: number;
  /** Two requests that cannot be told apart: what comes back cannot be read. */
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
