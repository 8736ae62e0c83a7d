// Writes log lines to standard error, with bounded memory even if the pipe, journal or disk behind it is slow.
// Lines that cannot be written are dropped, and their number is logged.

import { fstatSync, write as writeFile } from 'node:fs';
import { Writable } from 'node:stream';
import { MAX_UNWRITTEN_BYTES } from './limits.js';

type Done = (error?: Error | null) => void;

/** Writes bytes. @returns whether all of them were written */
export type Sink = (bytes: Buffer) => Promise<boolean>;

export class StderrLines extends Writable {
  readonly #notice: (dropped: number) => string;
  readonly #sink: Sink;
  #dropped = 0;
  /** Whether the last write may have ended within a line. */
  #isTorn = false;

  /** @param notice makes the line with the number of dropped lines */
  constructor(notice: (dropped: number) => string, sink: Sink = stderrSink()) {
    super({ highWaterMark: MAX_UNWRITTEN_BYTES });
    this.#notice = notice;
    this.#sink = sink;
  }

  /** Whether there is room for a line. If not, counts it as dropped. */
  takes(): boolean {
    if (!this.writableEnded && this.writableLength < MAX_UNWRITTEN_BYTES) return true;
    this.#dropped++;
    return false;
  }

  override _write(line: Buffer, _encoding: BufferEncoding, done: Done): void {
    void this.#put([line], done);
  }

  override _writev(lines: { chunk: Buffer }[], done: Done): void {
    const chunks = lines.map(({ chunk }) => chunk);
    void this.#put(chunks, done);
  }

  /** Writes a pending notice at the end, when no more lines follow. */
  override _final(done: Done): void {
    if (this.#dropped > 0) void this.#put([], done);
    else done();
  }

  async #put(lines: readonly Buffer[], done: Done): Promise<void> {
    const noticed = this.#dropped;
    const head = `${this.#isTorn ? '\n' : ''}${noticed > 0 ? this.#notice(noticed) : ''}`;
    const isWritten = await this.#sink(Buffer.concat([Buffer.from(head), ...lines]));
    this.#isTorn = !isWritten;
    this.#dropped += isWritten ? -noticed : lines.length;
    done();
    // The next line may come much later, so a timer writes the notice.
    const isIdle = this.writableLength === 0 && !this.writableEnded;
    if (isWritten && this.#dropped > 0 && isIdle) this.write('');
  }
}

/**
 * Writes to pipes, sockets and the journal through Node's stream, which never blocks a thread. Writes to files
 * and terminals itself: Node's stream for files stops working after the disk was full, and takes a partial
 * write for a complete one.
 */
function stderrSink(): Sink {
  const stats = fstatSync(2);
  return stats.isFIFO() || stats.isSocket() ? throughStream : toFile;
}

function throughStream(bytes: Buffer): Promise<boolean> {
  return new Promise((resolve) => {
    process.stderr.write(bytes, (error) => resolve(!error));
  });
}

async function toFile(bytes: Buffer): Promise<boolean> {
  for (let at = 0; at < bytes.length;) {
    const n = await writeSome(bytes, at);
    if (n === 0) return false;
    at += n;
  }
  return true;
}

/** @returns 0 if it failed */
function writeSome(bytes: Buffer, at: number): Promise<number> {
  return new Promise((resolve) => {
    writeFile(2, bytes, at, bytes.length - at, null, (error, n) => resolve(error ? 0 : n));
  });
}
