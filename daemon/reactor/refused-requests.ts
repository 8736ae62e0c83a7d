// Requests that were refused, as they are reported to the control plane: counted where they are refused,
// because one client can send a hundred thousand of them in a second.

import { Repeats, type RepeatLimits } from '../lib/repeats.js';
import { nameOf, nbdErrnoName } from '../nbd/names.js';
import type { Request } from '../nbd/request.js';
import type { RefusedRequestReport } from './messages.js';

/** Of one reactor, by export, command and reason. Few clients send requests that are refused. */
const REPORT_LIMITS: RepeatLimits = { intervalMs: 10_000, keys: 32, burst: 1, lines: 0 };

type Refusal = Omit<RefusedRequestReport, 'count' | 'mixed'>;

export class RefusedRequests {
  readonly #repeats: Repeats<Refusal>;

  constructor(post: (report: RefusedRequestReport) => void, now?: () => number) {
    this.#repeats = new Repeats(
      REPORT_LIMITS,
      ({ subject, count, mixed }) => post({ ...subject, count, mixed }),
      now,
    );
  }

  /**
   * @param name of the export
   * @param request may be reused after the call
   * @param errno as the client gets it
   */
  add(name: string, peer: string, request: Request, errno: number, reason: string): void {
    const { type, offset, length } = request;
    const command = nameOf('NBD_CMD', type);
    const key = `${command} ${JSON.stringify(name)} ${reason}`;
    const error = nbdErrnoName(errno);
    this.#repeats.note(key, { export: name, peer, command, offset, length, error, reason });
  }

  /** Reports what has been counted; all of it at the end. */
  sweep(all = false): void {
    this.#repeats.sweep(all);
  }
}
