// The log lines about clients: failed reads, connections that ended, connections that were refused. All
// of them are counted, because a client can cause any number of them.

import { CountedLog } from '../log/counted-log.js';
import { CLOSED_LINES, READ_FAILURE_LINES } from '../log/limits.js';
import type { LogLevel, Logger } from '../log/logger.js';
import { counted } from '../lib/counted.js';
import { Repeats, type RepeatReport } from '../lib/repeats.js';
import type {
  CloseKind,
  ConnectionSummary,
  ReadFailureReport,
  RefusedRequestReport,
} from './messages.js';

const CLOSE_LEVELS: Readonly<Record<CloseKind, LogLevel>> = {
  ended: 'info',
  failed: 'info',
  refused: 'warn',
  protocol: 'warn',
  tls: 'warn',
  bug: 'error',
};

/** What the log lines of failed reads say about the images. */
export interface ReadImages {
  /** The name of the image of an export, as far as it is known. */
  nameOf(name: string): string | null;
  /** Which files a read is of; null: its image is not made of layers of files. */
  filesOf(
    read: Pick<ReadFailureReport, 'export' | 'offset' | 'length'>,
  ): Promise<string | null> | null;
  /** Called for each report. */
  failed?(report: ReadFailureReport): void;
}

const NO_IMAGES: ReadImages = { nameOf: () => null, filesOf: () => null };

export class ClientLog {
  readonly #log: Logger;
  readonly #reads: Repeats<ReadFailureReport>;
  readonly #closed: Repeats<ConnectionSummary>;
  readonly #others: CountedLog;
  readonly #images: ReadImages;
  /** Reads whose files are being looked for. */
  readonly #looking = new Set<ReadFailureReport>();

  constructor(log: Logger, now?: () => number, images: ReadImages = NO_IMAGES) {
    this.#log = log;
    this.#images = images;
    this.#reads = new Repeats(READ_FAILURE_LINES, (each) => this.#tellReads(each), now);
    this.#closed = new Repeats(CLOSED_LINES, (each) => this.#tellClosed(each), now);
    this.#others = new CountedLog(log, now);
  }

  readsFailed(report: ReadFailureReport): void {
    this.#images.failed?.(report);
    const looking = report.files === undefined ? this.#images.filesOf(report) : null;
    if (!looking) {
      this.#reads.note(report.key, report, report.count);
      return;
    }
    this.#looking.add(report);
    void this.#noteLater(report, looking);
  }

  async #noteLater(report: ReadFailureReport, looking: Promise<string | null>): Promise<void> {
    const files = await looking.catch(() => null);
    if (this.#looking.delete(report)) this.#noteFiles(report, files);
  }

  /** Reads of one file that fail with one code share a line, wherever in the file they are. */
  #noteFiles(report: ReadFailureReport, files: string | null): void {
    if (files === null) return this.#reads.note(report.key, report, report.count);
    const { code, export: name, key } = report;
    const message = `${report.message}; ${files}`;
    const shared = key === null ? null : `${code} ${JSON.stringify(name)} ${files}`;
    this.#reads.note(shared, { ...report, message, files }, report.count);
  }

  closed(summary: ConnectionSummary): void {
    // Up to the first punctuation mark: a name or a number that the client has chosen may follow.
    const [why] = /^[a-z ]*/i.exec(summary.reason) ?? [];
    this.#closed.note(`${why} ${summary.peer.group}`, summary);
  }

  /** @param key refusals with the same key share a line: the reason, maybe with the peer's group */
  refused(key: string, peer: string, reason: string): void {
    this.#others.log(key, 'warn', `${peer}: refused: ${reason}`, { peer, reason });
  }

  /** Counted by the reactor that refused them. */
  requestRefused({ count, mixed, ...fields }: RefusedRequestReport): void {
    const { peer, command, offset, length, error, reason } = fields;
    const last = `${command} of ${length} bytes at ${offset}: ${reason} (${error})`;
    const likewise = mixed ? 'for further reasons' : 'likewise';
    const text =
      count === 0
        ? `refused ${last}`
        : `refused ${counted(count, 'more request')} ${likewise}, the last: ${last}`;
    const name = JSON.stringify(fields.export);
    this.#log.log('debug', `${peer}: export ${name}: ${text}`, { ...fields, ...more(count) });
  }

  /** @param title of the listener */
  acceptFailed(title: string, why: string): void {
    this.#others.log(`accept ${title}`, 'error', `${title}: ${why}`);
  }

  /** A bug in the daemon. A client that can cause it may do so again and again. */
  threadDied(story: string): void {
    this.#others.log('thread', 'error', `reactor thread died: ${story}`);
  }

  /** Logs what has been counted and is due. @param all at the end: everything */
  sweep(all = false): void {
    // Nothing waits at the end.
    for (const report of all ? this.#looking : [])
      this.#reads.note(report.key, report, report.count);
    if (all) this.#looking.clear();
    for (const each of [this.#reads, this.#closed, this.#others]) each.sweep(all);
  }

  #tellReads({ subject, count, mixed }: RepeatReport<ReadFailureReport>): void {
    const { key: _key, count: _count, message: why, ...fields } = subject;
    const where = `read of ${subject.length} bytes at ${subject.offset} for ${subject.peer}`;
    const name = JSON.stringify(subject.export);
    const text =
      count === 0
        ? `export ${name}: ${where} failed: ${why}`
        : mixed
          ? `${counted(count, 'more read')} failed in further places, the last: export ${name}: ${where}: ${why}`
          : `export ${name}: ${counted(count, 'more read')} failed likewise, the last: ${where}: ${why}`;
    const image = this.#images.nameOf(subject.export);
    this.#log.log('error', text, { ...(image !== null && { image }), ...fields, ...more(count) });
  }

  #tellClosed({ subject, count, mixed }: RepeatReport<ConnectionSummary>): void {
    const { id, peer, name, reason, requests, errors, bytesSent, tls, kind } = subject;
    const over = tls === null ? '' : ` over ${tls}`;
    const line = `${name}: connection ${id} closed: ${reason}; ${counted(requests, 'request')}, ${counted(errors, 'error')}, ${counted(bytesSent, 'byte')} sent${over}`;
    const whose = mixed ? 'of further peers' : `of ${peer.group}`;
    const text =
      count === 0
        ? line
        : `${counted(count, 'more connection')} ${whose} closed, the last: ${line}`;
    this.#log.log(CLOSE_LEVELS[kind], text, {
      connection: id,
      peer: name,
      export: subject.export,
      reason,
      requests,
      errors,
      bytesSent,
      tls,
      ...more(count),
    });
  }
}

function more(count: number): { readonly more?: number } {
  return count === 0 ? {} : { more: count };
}
