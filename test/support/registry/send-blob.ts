// Answers a request for a blob with the range that it asks for, or with what a rule makes of it.
import { open } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';
import type { Exchange } from './exchange.js';
import { isBodyAction, type BodyAction, type RuleHandle } from './rules.js';

/** Inclusive. */
export interface ByteRange {
  readonly first: number;
  readonly last: number;
}

const PIECE = 256 << 10;

/** The range of a header; null: none, or one that a server ignores. Not satisfiable if first is past the end. */
export function rangeOf(header: string | undefined, size: number): ByteRange | null {
  const found = /^bytes=(\d*)-(\d*)$/.exec(header ?? '');
  if (!found || (found[1] === '' && found[2] === '')) return null;
  if (found[1] === '') return { first: Math.max(0, size - Number(found[2])), last: size - 1 };
  const first = Number(found[1]);
  const last = found[2] === '' ? size - 1 : Math.min(Number(found[2]), size - 1);
  return last < first && first < size ? null : { first, last };
}

export async function sendBlob(
  exchange: Exchange,
  blob: { path: string; size: number },
  rule: RuleHandle | null,
): Promise<void> {
  const { request, response, entry } = exchange;
  const action = rule && isBodyAction(rule.rule.action) ? rule.rule.action : null;
  const whole = { first: 0, last: blob.size - 1 };
  const asked = action?.do === 'whole' ? null : rangeOf(request.headers.range, blob.size);
  if (asked && asked.first >= blob.size) {
    const headers = { 'Content-Range': `bytes */${blob.size}`, 'Content-Length': 0 };
    response.writeHead(416, headers).end();
    entry.status = 416;
    return;
  }
  const range = shifted(asked ?? whole, action, blob.size);
  const length = range.last - range.first + 1;
  entry.first = range.first;
  entry.status = asked ? 206 : 200;
  const body = new Body(exchange, blob.path, range, action);
  const headers: Record<string, string | number> = {
    'Content-Type': 'application/octet-stream',
    'Accept-Ranges': 'bytes',
  };
  if (asked) {
    const said = contentRange(range, blob.size, action);
    if (said !== null) headers['Content-Range'] = said;
  }
  const announced = await body.prepare(length);
  if (announced.contentLength !== null) headers['Content-Length'] = announced.contentLength;
  if (announced.encoding) headers['Content-Encoding'] = announced.encoding;
  if (announced.untilEnd) {
    response.useChunkedEncodingByDefault = false;
    headers['Connection'] = 'close';
  }
  response.writeHead(entry.status, headers);
  if (request.method === 'HEAD') {
    response.end();
    return;
  }
  await body.send(rule);
}

function shifted(range: ByteRange, action: BodyAction | null, size: number): ByteRange {
  if (action?.do !== 'other-range') return range;
  const first = Math.max(0, range.first + (action.first ?? 0));
  return { first, last: Math.min(size - 1, Math.max(first, range.last + (action.last ?? 0))) };
}

function contentRange(range: ByteRange, size: number, action: BodyAction | null): string | null {
  if (action?.do === 'content-range') return action.value;
  const { first = 0, last = 0, total = 0 } = action?.do === 'shifted-range' ? action : {};
  return `bytes ${range.first + first}-${range.last + last}/${size + total}`;
}

/** The body of one answer. */
class Body {
  readonly #exchange: Exchange;
  readonly #path: string;
  readonly #range: ByteRange;
  readonly #action: BodyAction | null;
  #encoded: Buffer | null = null;

  constructor(exchange: Exchange, path: string, range: ByteRange, action: BodyAction | null) {
    this.#exchange = exchange;
    this.#path = path;
    this.#range = range;
    this.#action = action;
  }

  /** What the headers say about the body. */
  async prepare(length: number): Promise<{
    contentLength: number | null;
    encoding?: string;
    untilEnd: boolean;
  }> {
    const action = this.#action;
    if (action?.do === 'gzip') {
      this.#encoded = gzipSync(await readRange(this.#path, this.#range));
      return { contentLength: this.#encoded.length, encoding: 'gzip', untilEnd: false };
    }
    if (action?.do === 'excess') {
      return action.length === 'declared'
        ? { contentLength: length + action.bytes, untilEnd: false }
        : { contentLength: null, untilEnd: true };
    }
    if (action?.do !== 'cut' || action.length === 'declared') {
      return { contentLength: length, untilEnd: false };
    }
    return action.length === 'actual'
      ? { contentLength: Math.min(action.after, length), untilEnd: false }
      : { contentLength: null, untilEnd: action.length === 'none' };
  }

  async send(rule: RuleHandle | null): Promise<void> {
    const { response, request, entry, connections } = this.#exchange;
    const action = this.#action;
    if (this.#encoded) {
      await this.#write(this.#encoded);
      response.end();
      return;
    }
    const after = action && 'after' in action ? action.after : Infinity;
    if (!(await this.#sendUntil(after))) return;
    if (action?.do === 'stall-after' && rule) {
      await Promise.race([rule.released(), this.#exchange.left]);
      if (!(await this.#sendUntil(Infinity))) return;
    }
    if (action?.do === 'reset-after') {
      entry.ended = 'reset';
      await connections.reset(request);
      return;
    }
    if (action?.do === 'cut' && action.length !== 'actual') {
      entry.ended = 'cut';
      connections.end(request);
      return;
    }
    if (action?.do === 'excess') await this.#write(Buffer.alloc(action.bytes, 0xee));
    response.end();
  }

  /** @param end bytes of the body after which it stops. @returns false if the client has left */
  async #sendUntil(end: number): Promise<boolean> {
    const { entry, pace } = this.#exchange;
    const action = this.#action;
    const { first, last } = this.#range;
    const stop = Math.min(last + 1, first + end);
    const drip = action?.do === 'drip' ? action : null;
    const file = await open(this.#path);
    try {
      for (let at = first + entry.bytes; at < stop;) {
        const piece = Buffer.alloc(Math.min(drip?.bytes ?? PIECE, stop - at));
        await file.read(piece, 0, piece.length, at);
        if (action?.do === 'corrupt' && action.at >= at && action.at < at + piece.length) {
          piece[action.at - at] = (piece[action.at - at] as number) ^ 1;
        }
        await pace.take(piece.length, drip?.everyMs ?? 0);
        if (!(await this.#write(piece))) return false;
        at += piece.length;
      }
    } finally {
      await file.close();
    }
    return true;
  }

  /** @returns false if the client has left */
  async #write(bytes: Buffer): Promise<boolean> {
    const { request, response, entry, left } = this.#exchange;
    // A response has no socket yet while the one before it has not ended, though its client has all of that already.
    if (response.destroyed || request.socket.destroyed) return false;
    const written = new Promise<boolean>((resolve) => {
      response.write(bytes, (problem) => {
        resolve(!problem);
      });
    });
    const done = await Promise.race([written, left.then(() => false)]);
    if (done) entry.bytes += bytes.length;
    return done;
  }
}

async function readRange(path: string, { first, last }: ByteRange): Promise<Buffer> {
  const file = await open(path);
  try {
    const bytes = Buffer.alloc(last - first + 1);
    await file.read(bytes, 0, bytes.length, first);
    return bytes;
  } finally {
    await file.close();
  }
}
