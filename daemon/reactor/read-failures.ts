// Failed reads, as reported to the control plane: counted in the reactor, because one client can cause
// a hundred thousand of them in a second.

import { codeOf, factsOf, fullStory, messageOf } from '../errors.js';
import { Repeats, type RepeatLimits, type RepeatReport } from '../lib/repeats.js';
import type { ReadFailureReport } from './messages.js';

/** Of one reactor. The control plane gets the reports of all of them, and logs less often. */
export const REPORT_LIMITS: RepeatLimits = { intervalMs: 1000, keys: 64, burst: 1, lines: 0 };
/** Reports that the control plane has not received yet; beyond this number failures are counted here. */
export const MAX_UNTAKEN_REPORTS = 64;
/** Failed reads within this many bytes count as the same failure, if the error names no block. */
const PLACE_BYTES = 64 * 1024;

interface Failure {
  readonly export: string;
  readonly peer: string;
  readonly offset: number;
  readonly length: number;
  readonly error: unknown;
  readonly key: string;
}

export class ReadFailures {
  readonly #post: (report: ReadFailureReport) => void;
  readonly #repeats: Repeats<Failure>;
  #untaken = 0;
  /** Failures that could not be posted yet. */
  #held: { last: Failure; count: number } | null = null;

  constructor(post: (report: ReadFailureReport) => void, now?: () => number) {
    this.#post = post;
    this.#repeats = new Repeats(REPORT_LIMITS, (report) => this.#report(report), now);
  }

  add(
    name: string,
    peer: string,
    error: unknown,
    { offset, length }: { readonly offset: number; readonly length: number },
  ): void {
    const key = keyOf(name, error, offset);
    this.#repeats.note(key, { export: name, peer, offset, length, error, key });
  }

  /** The control plane has received one report. */
  taken(): void {
    this.#untaken--;
    const held = this.#held;
    if (!held) return;
    this.#held = null;
    this.#send(null, held.last, held.count);
  }

  /** Reports what has been counted and is due. @param all at the end: everything */
  sweep(all = false): void {
    this.#repeats.sweep(all);
  }

  #report({ subject, count, mixed }: RepeatReport<Failure>): void {
    const reads = Math.max(count, 1);
    if (this.#untaken >= MAX_UNTAKEN_REPORTS) {
      this.#held = { last: subject, count: (this.#held?.count ?? 0) + reads };
    } else {
      this.#send(mixed ? null : subject.key, subject, reads);
    }
  }

  #send(key: string | null, { error, ...failure }: Failure, count: number): void {
    this.#untaken++;
    // The offset of a failed read is the one in the export.
    const { offset: blobOffset, ...facts } = factsOf(error);
    const fields = { ...facts, ...(blobOffset !== undefined && { blobOffset }), ...failure };
    this.#post({ ...fields, key, count, code: codeOf(error), message: fullStory(error) });
  }
}

/** Errors of the network, or of a file that is not there: the place of the read says nothing about their cause. */
const REMOTE_CODES: ReadonlySet<string> = new Set(['REMOTE', 'AUTH', 'NOT_FOUND', 'BUSY']);

/**
 * Equal for reads with one cause: all reads of a bad block, all reads of a blob that a registry does not give or a file that
 * is missing, or reads near each other in a failing file.
 */
function keyOf(name: string, error: unknown, offset: number): string {
  const code = codeOf(error);
  const namesBlock = code === 'BAD_CHECKSUM' || code === 'BAD_DATA';
  let place = `${Math.floor(offset / PLACE_BYTES)}`;
  if (namesBlock) place = messageOf(error);
  else if (REMOTE_CODES.has(code)) place = factsOf(error).digest ?? factsOf(error).blob ?? '';
  return `${code} ${JSON.stringify(name)} ${place}`;
}
