// The behaviour of one client of a case: its bytes, and how it sends, reads and disconnects.
import { CORPUS } from './corpus.js';
import type { Message } from './encode.js';
import type { ModelExport } from './model-export.js';
import { mutate } from './mutate.js';
import type { Random } from './random.js';
import { planSession } from './session-plan.js';

export interface Script {
  readonly bytes: Buffer;
  /** The messages before they were damaged. */
  readonly kinds: readonly string[];
  readonly mutations: readonly string[];
  /** Lengths of the sends, in turn. */
  readonly pieces: readonly number[];
  /** Turns of the loop between sends, in turn. */
  readonly pauses: readonly number[];
  readonly reader: Reader;
  readonly leave: Leave;
}

export interface Reader {
  /** The client reads nothing before this turn. */
  readonly from: number;
  /** Then this many bytes in every so many turns. */
  readonly bytes: number;
  readonly every: number;
}

/**
 * How it ends, if it does not end by what is said: the client leaves when it has its answers; it is
 * gone, or hears but does not speak any more, after so many bytes; or the daemon stops.
 */
export interface Leave {
  readonly kind: 'answered' | 'gone' | 'silent' | 'drain';
  /** Bytes that the client sends. */
  readonly at: number;
}

const EAGER: Reader = { from: 0, bytes: 1 << 20, every: 1 };

/** @param number of the case; the first cases play the corpus unchanged */
export function planScript(
  random: Random,
  exports: readonly ModelExport[],
  number: number,
): Script {
  const original = CORPUS[number];
  const messages: Message[] = original?.() ?? planMessages(random, exports);
  const kinds = [...new Set(messages.map(({ kind }) => kind))];
  const mutations = original || random.percent(40) ? [] : mutate(random, messages);
  const bytes = Buffer.concat(messages.map((message) => message.bytes));
  const leave = random.weighted<Leave['kind']>(
    [16, 'answered'],
    [2, 'gone'],
    [1, 'silent'],
    [1, 'drain'],
  );
  return {
    bytes,
    kinds,
    mutations,
    ...planPace(random, bytes.length),
    leave: original
      ? { kind: 'answered', at: bytes.length }
      : { kind: leave, at: random.below(bytes.length + 1) },
  };
}

function planMessages(random: Random, exports: readonly ModelExport[]): Message[] {
  if (random.percent(10)) return random.pick(CORPUS)();
  return planSession(random, exports);
}

function planPace(random: Random, length: number): Pick<Script, 'pieces' | 'pauses' | 'reader'> {
  const smallest = Math.ceil(length / 400);
  const piece = (): number =>
    random.weighted(
      [3, length + 1],
      [3, smallest + random.below(60)],
      [2, smallest + random.below(5000)],
    );
  const pieces = random.percent(40) ? [length + 1] : Array.from({ length: 5 }, piece);
  const pauses = Array.from({ length: 3 }, () => random.weighted([6, 0], [3, random.below(4)]));
  const reader = random.weighted(
    [10, EAGER],
    [3, { from: 0, bytes: random.between(1000, 60_000), every: random.between(1, 3) }],
    [2, { ...EAGER, from: random.between(10, 150) }],
    [1, { from: random.below(100), bytes: random.between(10_000, 300_000), every: 4 }],
  );
  return { pieces, pauses, reader };
}
