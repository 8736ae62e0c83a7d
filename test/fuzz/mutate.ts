// Damages client messages: fields, lengths, the order of messages, single bits. Sooner or later it finds every kind of
// mistake that a client can make.
import type { Message } from './encode.js';
import type { Random } from './random.js';

/** Numbers that may overflow a field or a sum. */
const LIMITS = [
  0n,
  1n,
  2n,
  5n,
  255n,
  256n,
  4095n,
  4096n,
  4097n,
  16_384n,
  16_385n,
  65_535n,
  262_144n,
  262_145n,
  33_554_432n,
  33_554_433n,
  0x7fff_ffffn,
  0x8000_0000n,
  0xffff_ffffn,
  0x1_0000_0000n,
  (1n << 53n) - 1n,
  (1n << 53n) + 1n,
  (1n << 63n) - 1n,
  1n << 63n,
  (1n << 64n) - 1n,
];

type Mutation = (random: Random, messages: Message[]) => void;

const MUTATIONS: Readonly<Record<string, Mutation>> = {
  field: (random, messages) => {
    replace(random, messages, ({ bytes, fields }) => {
      if (fields.length === 0) return bytes;
      const { at, size } = random.pick(fields);
      const out = Buffer.from(bytes);
      const shift = BigInt(64 - 8 * size);
      const old = readField(out, at, size);
      const value = random.weighted(
        [5, random.pick(LIMITS)],
        [4, old + BigInt(random.between(-2, 2))],
        [1, BigInt(random.u32()) << BigInt(random.below(33))],
      );
      const whole = Buffer.alloc(8);
      whole.writeBigUInt64BE(BigInt.asUintN(64, value << shift));
      whole.copy(out, at, 0, size);
      return out;
    });
  },
  bits: (random, messages) => {
    replace(random, messages, ({ bytes }) => {
      const out = Buffer.from(bytes);
      for (let i = random.between(1, 4); i > 0; i--) {
        const at = random.below(out.length);
        out[at] = (out[at] as number) ^ (1 << random.below(8));
      }
      return out;
    });
  },
  cut: (random, messages) => {
    replace(random, messages, ({ bytes }) => bytes.subarray(0, random.below(bytes.length)));
  },
  grow: (random, messages) => {
    replace(random, messages, ({ bytes }) => {
      const at = random.below(bytes.length + 1);
      const more = random.bytes(random.between(1, 40));
      return Buffer.concat([bytes.subarray(0, at), more, bytes.subarray(at)]);
    });
  },
  drop: (random, messages) => {
    messages.splice(random.below(messages.length), 1);
  },
  twice: (random, messages) => {
    const at = random.below(messages.length);
    const message = messages[at] as Message;
    const many = random.weighted([8, 1], [2, random.below(20)], [1, 260]);
    const isLong = message.bytes.length > 999 || message.kind === 'CACHE';
    const again = Array.from({ length: isLong ? 1 : many }, () => message);
    messages.splice(random.below(messages.length + 1), 0, ...again);
  },
  move: (random, messages) => {
    const [taken] = messages.splice(random.below(messages.length), 1);
    messages.splice(random.below(messages.length + 1), 0, taken as Message);
  },
  end: (random, messages) => {
    messages.length = random.between(1, messages.length);
    const last = messages.at(-1) as Message;
    const bytes = last.bytes.subarray(0, random.below(last.bytes.length + 1));
    messages[messages.length - 1] = damaged(last, bytes);
  },
  cross: (random, messages) => {
    const other = random.pick(messages).bytes;
    replace(random, messages, ({ bytes }) => {
      const at = random.below(bytes.length);
      return Buffer.concat([bytes.subarray(0, at), other.subarray(random.below(other.length))]);
    });
  },
};

const MUTATION_NAMES = Object.keys(MUTATIONS);

/** @returns the names of the mutations */
export function mutate(random: Random, messages: Message[]): string[] {
  const done: string[] = [];
  for (let i = random.weighted([6, 1], [3, 2], [1, 5]); i > 0 && messages.length > 0; i--) {
    const name = random.weighted([4, 'field'], [2, 'bits'], [6, random.pick(MUTATION_NAMES)]);
    (MUTATIONS[name] as Mutation)(random, messages);
    done.push(name);
  }
  return done;
}

/** A message without bytes is not changed. */
function replace(random: Random, messages: Message[], by: (message: Message) => Buffer): void {
  const at = random.below(messages.length);
  const message = messages[at] as Message;
  if (message.bytes.length === 0) return;
  messages[at] = damaged(message, by(message));
}

/** After the damage fields may be elsewhere, but still within the message. */
function damaged({ kind, fields }: Message, bytes: Buffer): Message {
  return { kind, bytes, fields: fields.filter(({ at, size }) => at + size <= bytes.length) };
}

function readField(bytes: Buffer, at: number, size: number): bigint {
  if (size === 2) return BigInt(bytes.readUInt16BE(at));
  return size === 4 ? BigInt(bytes.readUInt32BE(at)) : bytes.readBigUInt64BE(at);
}
