// Standard error as the log's lines go there: bounded in memory, whatever becomes of the pipe, the
// journal or the disk behind it. Lines that cannot be written are dropped, and counted in the log.

import { fstatSync, write as writeFile } from 'node:fs';
import { Writable } from 'node:stream';
import { MAX_UNWRITTEN_BYTES } from './limits.js';

type Done = (error?: Error | null) => void;

/** Puts bytes somewhere. @returns whether all of them got there */
export type Sink = (bytes: Buffer) => Promise<boolean>;

export class StderrLines extends Writable {
  readonly #notice: (dropped: number) => string;
  readonly #sink: Sink;
  #dropped = 0;
  /** The last write may have ended within a line. */
  #isTorn = false;

  /** @param notice the line that says how many are missing */
  constructor(notice: (dropped: number) => string, sink: Sink = stderrSink()) {
    super({ highWaterMark: MAX_UNWRITTEN_BYTES });
    this.#notice = notice;
    this.#sink = sink;
  }

  /** Whether there is room for a line; else it counts as dropped. */
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

  /** At the end: nothing comes that would take the notice along. */
  override _final(done: Done): void {
    if (this.#dropped > 0) void this.#put([], done);
    else done();
  }

  async #put(lines: readonly Buffer[], done: Done): Promise<void> {
    const told = this.#dropped;
    const head = `${this.#isTorn ? '\n' : ''}${told > 0 ? this.#notice(told) : ''}`;
    const isWritten = await this.#sink(Buffer.concat([Buffer.from(head), ...lines]));
    this.#isTorn = !isWritten;
    this.#dropped += isWritten ? -told : lines.length;
    done();
    // Maybe nothing follows for a long time.
    const isIdle = this.writableLength === 0 && !this.writableEnded;
    if (isWritten && this.#dropped > 0 && isIdle) this.write('');
  }
}

/**
 * Pipes, sockets and the journal by Node's stream, which never blocks a thread. Files and terminals by
 * ourselves: Node's stream for files is of no use any more once a disk was full, and takes a part that
 * was written for all of it.
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

/** @returns 0 when it failed */
function writeSome(bytes: Buffer, at: number): Promise<number> {
  return new Promise((resolve) => {
    writeFile(2, bytes, at, bytes.length - at, null, (error, n) => resolve(error ? 0 : n));
  });
}
