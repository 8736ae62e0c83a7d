// The judge's model of the transmission phase: which requests there are, and the form of their replies. See judge.ts;
// judge-request.ts judges the content of a single reply.
import { NBD_CMD, NBD_REPLY_TYPE } from '../../daemon/nbd/constants.js';
import { must, type ByteReader } from './byte-reader.js';
import { hasPayload } from './encode.js';
import type { Streams, Verdict } from './judge.js';
import type { Agreed } from './judge-handshake.js';
import { OpenRequest, type AskedFor } from './judge-request.js';

const MAX_PAYLOAD = 32 * 1024 * 1024;
/** A chunk has a few bytes before the longest data, or before a full block status. */
const MAX_CHUNK = MAX_PAYLOAD + 64;

const CHUNK_NAMES = new Map<number, string>(
  Object.entries(NBD_REPLY_TYPE).map(([name, type]) => [type, name]),
);

type Pending = Map<bigint, OpenRequest[]>;

/** Reads the requests from the client's bytes; the verdict tells how they ended. */
function requestsOf(said: ByteReader, agreed: Agreed, streams: Streams, verdict: Verdict) {
  const extended = agreed.form === 'extended';
  const requests: AskedFor[] = [];
  while (said.left >= (extended ? 32 : 28)) {
    if (said.u32() !== (extended ? 0x21e41c71 : 0x25609513)) {
      streams.count('broken: request magic');
      verdict.over = 'broken';
      break;
    }
    const flags = said.u16();
    const type = said.u16();
    const cookie = said.u64();
    const offset = said.u64();
    const length = extended ? said.u64() : BigInt(said.u32());
    if (hasPayload(extended, type, flags)) {
      if (extended && length > MAX_PAYLOAD) {
        streams.count('broken: payload too long');
        verdict.over = 'broken';
        break;
      }
      // A payload that has not arrived completely, and its request, is not answered.
      const isWhole = length <= BigInt(said.left);
      said.take(Math.min(Number(length), said.left));
      if (!isWhole && type !== NBD_CMD.DISC) break;
    }
    if (type === NBD_CMD.DISC) {
      verdict.over = 'goodbye';
      break;
    }
    requests.push({ type, flags, cookie, offset, length });
  }
  return requests;
}

/** @throws Violation, or Short if an answer has not arrived yet */
export function judgeTransmission(streams: Streams, agreed: Agreed, verdict: Verdict): void {
  const { heard, count } = streams;
  const requests = requestsOf(streams.said, agreed, streams, verdict);
  verdict.requests = requests.length;
  const pending: Pending = new Map();
  for (const request of requests) {
    const same = pending.get(request.cookie) ?? [];
    same.push(new OpenRequest(request, agreed));
    pending.set(request.cookie, same);
  }
  const answer = agreed.form === 'simple' ? simpleReply : chunk;
  while (heard.left > 0) {
    const result = answer(heard, pending, agreed, count);
    if (result === 'ambiguous') {
      count('ambiguous cookies');
      verdict.ambiguous = true;
      return;
    }
    if (!result) continue;
    verdict.answered++;
    count(`${agreed.form} ${result}`);
  }
}

/** The requests that a reply can belong to. */
function requestsFor(pending: Pending, cookie: bigint): OpenRequest[] {
  const same = pending.get(cookie);
  must(
    same !== undefined && same.length > 0,
    () => `a reply without a request: ${cookie.toString(16)}`,
  );
  return same as OpenRequest[];
}

/** @returns the kind of answer, or 'ambiguous' */
function simpleReply(heard: ByteReader, pending: Pending): string {
  must(heard.u32() === 0x67446698, 'simple reply magic');
  const errno = heard.u32();
  const same = requestsFor(pending, heard.u64());
  const [first] = same as [OpenRequest, ...OpenRequest[]];
  if (same.length > 1 && !same.every((other) => other.isLike(first))) return 'ambiguous';
  if (errno === 0 && first.asked.type === NBD_CMD.READ) {
    const { offset, length } = first.asked;
    must(length <= MAX_PAYLOAD, () => `a read of ${length} bytes was not refused`);
    if (length > 0n) first.data(offset, heard.take(Number(length)));
  } else if (errno !== 0) {
    first.error(errno);
  }
  same.shift();
  return first.done();
}

/** @returns the kind of answer; null if more chunks follow */
function chunk(
  heard: ByteReader,
  pending: Pending,
  { form }: Agreed,
  count: (what: string) => void,
): string | null {
  const extended = form === 'extended';
  must(heard.u32() === (extended ? 0x6e8a278c : 0x668e33ef), () => `${form} reply magic`);
  const flags = heard.u16();
  const type = heard.u16();
  const same = requestsFor(pending, heard.u64());
  const offset = extended ? heard.u64() : null;
  const length = extended ? Number(heard.u64()) : heard.u32();
  must((flags & ~1) === 0, () => `reply flags ${flags}`);
  must(length <= MAX_CHUNK, () => `a chunk of ${length} bytes`);
  const payload = heard.take(length);
  count(`${form} chunk ${CHUNK_NAMES.get(type) ?? type}`);
  const isLast = flags === 1;
  // Chunks of two requests that look alike: only their ends can be counted.
  const [open] = same as [OpenRequest, ...OpenRequest[]];
  const alone = same.length === 1 && !open.crowded;
  if (!alone) for (const other of same) other.crowded = true;
  if (alone) {
    must(offset === null || offset === open.asked.offset, 'the offset is not the request\u2019s');
    takeChunk(open, type, payload, isLast, extended);
  }
  if (!isLast) return null;
  same.shift();
  return open.done();
}

function takeChunk(
  open: OpenRequest,
  type: number,
  payload: Buffer,
  isLast: boolean,
  extended: boolean,
): void {
  const { length } = payload;
  switch (type) {
    case NBD_REPLY_TYPE.NONE:
      must(length === 0 && isLast, 'an empty chunk with a payload, or not at the end');
      return;
    case NBD_REPLY_TYPE.OFFSET_DATA:
      must(length >= 9, () => `data chunk of ${length} bytes`);
      open.data(payload.readBigUInt64BE(0), payload.subarray(8));
      return;
    case NBD_REPLY_TYPE.OFFSET_HOLE:
      must(length === 12, () => `hole chunk of ${length} bytes`);
      open.hole(payload.readBigUInt64BE(0), payload.readUInt32BE(8));
      return;
    case extended ? NBD_REPLY_TYPE.BLOCK_STATUS_EXT : NBD_REPLY_TYPE.BLOCK_STATUS:
      open.status(payload, extended);
      return;
    case NBD_REPLY_TYPE.ERROR:
    case NBD_REPLY_TYPE.ERROR_OFFSET:
      open.errorChunk(payload, type === NBD_REPLY_TYPE.ERROR_OFFSET);
      return;
    default:
      must(false, `chunk of type ${type}`);
  }
}
