// Checks the header of an answer to a request for a range, before a byte of its body is used. Pure.

import { Failure, type FailureFacts } from './failure.js';
import { MAX_WHOLE_BLOB } from './limits.js';
import type { Incoming } from './wire.js';

/** What the body of an answer is. */
export interface BodyRange {
  /** Offset in the blob of the first byte of the body. */
  readonly first: number;
  /** Bytes of the body. */
  readonly length: number;
}

export interface WantedRange {
  /** Bytes, both inclusive. */
  readonly first: number;
  readonly last: number;
  /** Of the whole blob, by its descriptor; null: no descriptor has it, and the answer must say it. */
  readonly size: number | null;
  /** Gets the size of the blob, as a right answer says it. */
  readonly sized?: (bytes: number) => void;
}

type Header = Pick<Incoming, 'host' | 'status' | 'headers'>;

/** Old versions of a registry leave out the unit. */
const CONTENT_RANGE = /^(?:bytes[ =]+)?(\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/i;

/**
 * @throws Failure bad
 */
export function checkRange(answer: Header, wanted: WantedRange): BodyRange {
  const { host, status, headers } = answer;
  const bad: MakeFailure = (what, more = {}) => new Failure('bad', what, { host, status, ...more });
  const encoding = one(headers['content-encoding'])?.trim().toLowerCase();
  if (encoding !== undefined && encoding !== '' && encoding !== 'identity') {
    throw bad('compresses a range, so that the place of its bytes is unknown');
  }
  const announced = lengthOf(headers['content-length']);
  if (status === 200) return checkWhole(announced, wanted, bad);
  if (status !== 206) throw bad(`answers ${status} to a request for a range`);
  const text = one(headers['content-range'])?.trim() ?? '';
  const found = CONTENT_RANGE.exec(text);
  if (!found) throw bad('answers 206 without a valid Content-Range');
  const first = Number(found[1]);
  const last = Number(found[2]);
  const total = found[3] === '*' ? wanted.size : Number(found[3]);
  if (total === null) throw bad(NO_SIZE);
  if (wanted.size !== null && total !== wanted.size) {
    throw bad(...otherSize(total, wanted.size));
  }
  // A shorter range is allowed; the rest is asked for again.
  if (first !== wanted.first || last > wanted.last || last < first) {
    throw bad(`sends bytes ${first}-${last}, not ${wanted.first}-${wanted.last}`);
  }
  const length = last - first + 1;
  if (announced !== null && announced !== length) {
    throw bad(`announces ${announced} bytes for a range of ${length}`);
  }
  wanted.sized?.(total);
  return { first, length };
}

function checkWhole(
  announced: number | null,
  { first, last, size: known, sized }: WantedRange,
  bad: MakeFailure,
): BodyRange {
  const size = known ?? announced;
  if (size === null) throw bad(NO_SIZE);
  const isAll = first === 0 && last === size - 1;
  if (!isAll && size > MAX_WHOLE_BLOB) throw new NoRanges(bad(NO_RANGES));
  if (announced !== null && announced !== size) {
    throw bad(...otherSize(announced, size));
  }
  sized?.(size);
  return { first: 0, length: size };
}

type SizeFacts = Pick<FailureFacts, 'expected' | 'got'>;
type MakeFailure = (what: string, more?: SizeFacts) => Failure;

function otherSize(got: number, size: number): [string, SizeFacts] {
  const what = `has ${got} bytes of this blob, not ${size} as its descriptor says`;
  return [what, { expected: `${size} bytes`, got }];
}

const NO_SIZE = 'does not say how many bytes this blob has';

const NO_RANGES =
  'answers with the whole blob instead of a range: it, or a proxy before it, does not serve ranges ' +
  '(for nginx: set slice; for a proxy cache project: let it fill first, or ask the origin)';

/** A host that ignores ranges: its body is not read, and it is left alone for some time. */
export class NoRanges extends Failure {
  constructor({ message, host, status }: Failure) {
    super('bad', message.slice(host.length + 1), { host, status });
  }
}

function one(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}

function lengthOf(value: string | string[] | undefined): number | null {
  const text = one(value);
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : null;
}
