// The encoder of client messages: messages know the places of their fields, so that mutations can hit them. It was
// written from the text of the protocol, not from the daemon's code.
import { NBD_CMD, NBD_CMD_FLAG, NBD_OPT } from '../../daemon/nbd/constants.js';

const IHAVEOPT = 0x49484156454f5054n;
const COMPACT_MAGIC = 0x25609513;
const EXTENDED_MAGIC = 0x21e41c71;

export interface Field {
  readonly at: number;
  /** Bytes. */
  readonly size: 2 | 4 | 8;
}

export interface Message {
  /** For people and for the coverage counts. */
  readonly kind: string;
  readonly bytes: Buffer;
  readonly fields: readonly Field[];
}

class MessageWriter {
  readonly #parts: Buffer[] = [];
  readonly #fields: Field[] = [];
  #length = 0;

  number(size: 2 | 4 | 8, value: number | bigint): this {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64BE(BigInt.asUintN(8 * size, BigInt(value)));
    this.#fields.push({ at: this.#length, size });
    return this.raw(bytes.subarray(8 - size));
  }

  raw(bytes: Buffer): this {
    this.#parts.push(bytes);
    this.#length += bytes.length;
    return this;
  }

  /** A string after its length of 32 bits. */
  string(text: string): this {
    const bytes = Buffer.from(text);
    return this.number(4, bytes.length).raw(bytes);
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }

  as(kind: string): Message {
    return { kind, bytes: this.bytes, fields: this.#fields };
  }
}

export function clientFlagsMessage(flags: number): Message {
  return new MessageWriter().number(4, flags).as('client flags');
}

function option(code: number, kind: string, fill: (data: MessageWriter) => void): Message {
  const data = new MessageWriter();
  fill(data);
  const whole = new MessageWriter().number(8, IHAVEOPT).number(4, code);
  whole.number(4, data.bytes.length);
  fill(whole);
  return whole.as(kind);
}

/** NBD_OPT_INFO or NBD_OPT_GO. */
export function infoMessage(code: number, name: string, infos: readonly number[]): Message {
  return option(code, code === NBD_OPT.GO ? 'GO' : 'INFO', (data) => {
    data.string(name).number(2, infos.length);
    for (const info of infos) data.number(2, info);
  });
}

/** NBD_OPT_LIST_META_CONTEXT or NBD_OPT_SET_META_CONTEXT. */
export function metaMessage(code: number, name: string, queries: readonly string[]): Message {
  const kind = code === NBD_OPT.SET_META_CONTEXT ? 'SET_META' : 'LIST_META';
  return option(code, kind, (data) => {
    data.string(name).number(4, queries.length);
    for (const query of queries) data.string(query);
  });
}

/** Any other option. */
export function optionMessage(code: number, data: Buffer = Buffer.alloc(0)): Message {
  return option(code, optionName(code), (out) => out.raw(data));
}

const namesOf = (numbers: Readonly<Record<string, number>>): ReadonlyMap<number, string> =>
  new Map(Object.entries(numbers).map(([name, number]) => [number, name]));
const OPTION_NAMES = namesOf(NBD_OPT);
const COMMAND_NAMES = namesOf(NBD_CMD);

export function optionName(code: number): string {
  return OPTION_NAMES.get(code) ?? 'unknown option';
}

export function commandName(type: number): string {
  return COMMAND_NAMES.get(type) ?? 'unknown command';
}

export interface RequestFields {
  readonly type: number;
  readonly flags?: number;
  readonly cookie: bigint;
  readonly offset?: number | bigint;
  readonly length?: number | bigint;
}

/** A request with its payload, if it has one. */
export function requestMessage(extended: boolean, request: RequestFields): Message {
  const { type, flags = 0, cookie, offset = 0, length = 0 } = request;
  const out = new MessageWriter();
  out
    .number(4, extended ? EXTENDED_MAGIC : COMPACT_MAGIC)
    .number(2, flags)
    .number(2, type);
  out.number(8, cookie).number(8, offset);
  out.number(extended ? 8 : 4, length);
  if (hasPayload(extended, type, flags)) out.raw(Buffer.alloc(Number(length), 0x25));
  return out.as(commandName(type));
}

export function hasPayload(extended: boolean, type: number, flags: number): boolean {
  return type === NBD_CMD.WRITE || (extended && (flags & NBD_CMD_FLAG.PAYLOAD_LEN) !== 0);
}
