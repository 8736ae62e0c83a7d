// The judge's model of the handshake: which replies each option must get. See judge.ts.
import { NBD_FLAG, NBD_INFO, NBD_OPT, NBD_REP } from '../../daemon/nbd/constants.js';
import type { ReplyForm } from '../../daemon/nbd/session.js';
import { must, mustBeText, type ByteReader } from './byte-reader.js';
import { optionName } from './encode.js';
import type { Streams, Verdict } from './judge.js';
import { SECTOR, type ModelExport } from './model-export.js';

const GREETING = '4e42444d4147494349484156454f50540003';
const IHAVEOPT = 0x49484156454f5054n;
const REPLY_MAGIC = 0x0003e889045565a9n;
const MAX_NAME = 4096;
const MAX_OPTION = 16 * 1024;
const MAX_PAYLOAD = 32 * 1024 * 1024;
/** Bytes of options in one handshake, skipped ones included. */
const MAX_SAID = 32 * 1024 * 1024;
const REPLY_NAMES = new Map(Object.entries(NBD_REP).map(([name, type]) => [type as number, name]));
const CONTEXTS = ['base:allocation', 'overlaybd:layer'];

/** The agreement of both sides, as the replies show it. */
export interface Agreed {
  readonly served: ModelExport;
  readonly form: ReplyForm;
  /** Names of the contexts by id. */
  readonly contexts: ReadonlyMap<number, string>;
}

interface Reply {
  readonly type: number;
  readonly data: Buffer;
}

class HandshakeJudge {
  readonly #said: ByteReader;
  readonly #heard: ByteReader;
  readonly #exports: readonly ModelExport[];
  readonly #count: (what: string) => void;
  readonly #verdict: Verdict;
  #form: ReplyForm = 'simple';
  #contexts: { served: ModelExport; byId: Map<number, string> } | null = null;
  #noZeroes = false;
  #saidBytes = 0;

  constructor({ said, heard, exports, count }: Streams, verdict: Verdict) {
    this.#said = said;
    this.#heard = heard;
    this.#exports = exports;
    this.#count = count;
    this.#verdict = verdict;
  }

  /** @returns null if the client does not get to the transmission phase */
  run(): Agreed | null {
    const greeting = this.#heard.take(GREETING.length / 2).toString('hex');
    must(greeting === GREETING, `greeting ${greeting}`);
    if (this.#said.left < 4) return null;
    const flags = this.#said.u32();
    if ((flags & ~3) !== 0) return this.#broken('client flags');
    this.#noZeroes = (flags & 2) !== 0;
    const fixed = (flags & 1) !== 0;
    for (;;) {
      if (this.#said.left < 16) return null;
      if (this.#said.u64() !== IHAVEOPT) return this.#broken('option magic');
      const option = this.#said.u32();
      const length = this.#said.u32();
      // A client that does not know option replies gets none.
      if (!fixed && option !== NBD_OPT.EXPORT_NAME) return this.#broken('option without fixed');
      const tooBig = length > MAX_OPTION;
      if (!tooBig && this.#said.left < length) return null;
      if (this.#isTooMuch(tooBig ? 16 : 16 + length)) return this.#broken('too many bytes');
      if (tooBig) {
        if (option === NBD_OPT.EXPORT_NAME) return this.#broken('name too long');
        this.#refused(option, [NBD_REP.ERR_TOO_BIG]);
        const discarded = Math.min(length, this.#said.left);
        this.#said.take(discarded);
        if (this.#isTooMuch(discarded)) return this.#broken('too many bytes');
        continue;
      }
      const result = this.#option(option, this.#said.take(length));
      if (result !== 'goes on') return result;
    }
  }

  #isTooMuch(bytes: number): boolean {
    this.#saidBytes += bytes;
    return this.#saidBytes > MAX_SAID;
  }

  #broken(what: string): null {
    this.#count(`broken: ${what}`);
    this.#verdict.over = 'broken';
    return null;
  }

  #option(option: number, data: Buffer): Agreed | null | 'goes on' {
    switch (option) {
      case NBD_OPT.EXPORT_NAME:
        return this.#exportName(data);
      case NBD_OPT.ABORT:
        this.#last(option, this.#reply(option), [NBD_REP.ACK]);
        this.#verdict.over = 'goodbye';
        return null;
      case NBD_OPT.LIST:
        return this.#list(data);
      case NBD_OPT.INFO:
      case NBD_OPT.GO:
        return this.#info(option, data);
      case NBD_OPT.STRUCTURED_REPLY:
      case NBD_OPT.EXTENDED_HEADERS:
        return this.#replyForm(option, data);
      case NBD_OPT.LIST_META_CONTEXT:
      case NBD_OPT.SET_META_CONTEXT:
        return this.#meta(option, data);
      case NBD_OPT.STARTTLS:
        // There is no certificate here: however malformed the option is, no side may believe that TLS begins.
        this.#refused(option, [NBD_REP.ERR_UNSUP, NBD_REP.ERR_POLICY, NBD_REP.ERR_INVALID]);
        return 'goes on';
      default:
        this.#refused(option, [NBD_REP.ERR_UNSUP]);
        return 'goes on';
    }
  }

  #exportName(data: Buffer): Agreed | null {
    const found = data.length <= MAX_NAME ? this.#find(data) : undefined;
    if (!found || this.#form === 'extended') return this.#broken('export name');
    const served = inBlocks(found);
    must(this.#heard.u64() === BigInt(served.size), 'size of the export');
    must(this.#heard.u16() === this.#flags(), 'transmission flags');
    if (!this.#noZeroes) {
      must(
        this.#heard.take(124).every((byte) => byte === 0),
        'padding that is not zeros',
      );
    }
    this.#count('option EXPORT_NAME: entered');
    return this.#agreed(found, served);
  }

  #agreed(found: ModelExport, served: ModelExport): Agreed {
    const contexts = this.#contexts?.served === found ? this.#contexts.byId : new Map();
    return { served, form: this.#form, contexts };
  }

  #list(data: Buffer): 'goes on' {
    if (data.length > 0) {
      this.#refused(NBD_OPT.LIST, [NBD_REP.ERR_INVALID]);
      return 'goes on';
    }
    const names = new Set<string>();
    let reply = this.#reply(NBD_OPT.LIST);
    for (; reply.type === NBD_REP.SERVER; reply = this.#reply(NBD_OPT.LIST)) {
      must(reply.data.length >= 4, 'an export without a name');
      const length = reply.data.readUInt32BE(0);
      must(4 + length <= reply.data.length, 'a name longer than its reply');
      mustBeText(reply.data.subarray(4 + length));
      names.add(reply.data.toString('utf8', 4, 4 + length));
    }
    this.#last(NBD_OPT.LIST, reply, [NBD_REP.ACK]);
    const expected = this.#exports.map(({ name }) => name);
    must(names.size === expected.length && expected.every((name) => names.has(name)), 'list');
    return 'goes on';
  }

  #info(option: number, data: Buffer): Agreed | 'goes on' {
    const query = parseInfo(data);
    if (!query) {
      this.#refused(option, [NBD_REP.ERR_INVALID]);
      return 'goes on';
    }
    const found = this.#find(query.name);
    if (!found) {
      this.#refused(option, [NBD_REP.ERR_UNKNOWN]);
      return 'goes on';
    }
    const served = query.wanted.includes(NBD_INFO.BLOCK_SIZE) ? found : inBlocks(found);
    const told = new Set<number>();
    let reply = this.#reply(option);
    for (; reply.type === NBD_REP.INFO; reply = this.#reply(option)) {
      must(reply.data.length >= 2, 'an info without a type');
      const info = reply.data.readUInt16BE(0);
      must(!told.has(info), `info ${info} twice`);
      told.add(info);
      this.#oneInfo(info, reply.data, served);
    }
    this.#last(option, reply, [NBD_REP.ACK]);
    must(told.has(NBD_INFO.EXPORT), 'no NBD_INFO_EXPORT');
    for (const info of Object.values(NBD_INFO)) {
      must(told.has(info) || !query.wanted.includes(info), `info ${info} was asked for`);
    }
    return option === NBD_OPT.GO ? this.#agreed(found, served) : 'goes on';
  }

  #oneInfo(info: number, data: Buffer, served: ModelExport): void {
    const text = data.toString('utf8', 2);
    if (info === NBD_INFO.EXPORT) {
      must(data.length === 12 && data.readBigUInt64BE(2) === BigInt(served.size), 'export info');
      must(data.readUInt16BE(10) === this.#flags(), 'transmission flags');
    } else if (info === NBD_INFO.BLOCK_SIZE) {
      const sizes = [1, 4096, MAX_PAYLOAD];
      const right = sizes.every((size, i) => data.readUInt32BE(2 + 4 * i) === size);
      must(data.length === 14 && right, 'block sizes');
    } else if (info === NBD_INFO.NAME) {
      must(text === served.name, `name ${text}`);
    } else {
      must(info === NBD_INFO.DESCRIPTION && text === served.description, `info ${info}`);
    }
  }

  #replyForm(option: number, data: Buffer): 'goes on' {
    if (data.length > 0) {
      this.#refused(option, [NBD_REP.ERR_INVALID]);
    } else if (this.#form === 'extended') {
      const again = option === NBD_OPT.EXTENDED_HEADERS;
      this.#refused(option, [again ? NBD_REP.ERR_INVALID : NBD_REP.ERR_EXT_HEADER_REQD]);
    } else {
      this.#last(option, this.#reply(option), [NBD_REP.ACK]);
      this.#form = option === NBD_OPT.EXTENDED_HEADERS ? 'extended' : 'structured';
    }
    return 'goes on';
  }

  #meta(option: number, data: Buffer): 'goes on' {
    const isSet = option === NBD_OPT.SET_META_CONTEXT;
    if (isSet) this.#contexts = null;
    const query = parseMeta(data);
    const served = query && this.#find(query.name);
    if (!query || (isSet && this.#form === 'simple')) {
      this.#refused(option, [NBD_REP.ERR_INVALID]);
      return 'goes on';
    }
    if (!served) {
      this.#refused(option, [NBD_REP.ERR_UNKNOWN]);
      return 'goes on';
    }
    const byId = new Map<number, string>();
    const names: string[] = [];
    let reply = this.#reply(option);
    for (; reply.type === NBD_REP.META_CONTEXT; reply = this.#reply(option)) {
      must(reply.data.length >= 4, 'a context without an id');
      const name = reply.data.toString('utf8', 4);
      const id = reply.data.readUInt32BE(0);
      must(!names.includes(name) && !(isSet && byId.has(id)), `context ${name} twice`);
      names.push(name);
      byId.set(id, name);
    }
    this.#last(option, reply, [NBD_REP.ACK]);
    const expected = CONTEXTS.filter((name) => {
      const wildcard = `${name.split(':')[0] as string}:`;
      if (isSet) return query.queries.includes(name);
      return [name, wildcard].some((each) => query.queries.includes(each)) || query.all;
    });
    must(names.toSorted().join() === expected.toSorted().join(), `contexts ${names.join()}`);
    if (isSet) this.#contexts = { served, byId };
    return 'goes on';
  }

  #find(name: Buffer): ModelExport | undefined {
    const text = name.toString('utf8');
    if (text === '' && this.#exports.length === 1) return this.#exports[0];
    return this.#exports.find((each) => each.name === text);
  }

  #flags(): number {
    const { HAS_FLAGS, READ_ONLY, SEND_FLUSH, CAN_MULTI_CONN, SEND_CACHE, SEND_DF } = NBD_FLAG;
    const always = HAS_FLAGS | READ_ONLY | SEND_FLUSH | CAN_MULTI_CONN | SEND_CACHE;
    return this.#form === 'simple' ? always : always | SEND_DF;
  }

  #reply(option: number): Reply {
    must(this.#heard.u64() === REPLY_MAGIC, 'option reply magic');
    const to = this.#heard.u32();
    must(to === option, () => `reply to option ${to}, not ${option}`);
    const type = this.#heard.u32();
    const length = this.#heard.u32();
    must(length <= MAX_OPTION, `option reply of ${length} bytes`);
    return { type, data: this.#heard.take(length) };
  }

  /** The reply that ends the answer to an option. */
  #last(option: number, { type, data }: Reply, expected: readonly number[]): void {
    const name = optionName(option);
    must(
      expected.includes(type),
      () => `${name}: reply ${hex(type)}, not ${expected.map(hex).join()}`,
    );
    if (type === NBD_REP.ACK) must(data.length === 0, 'an acknowledgement with data');
    else mustBeText(data);
    this.#count(`option ${name}: ${REPLY_NAMES.get(type) ?? 'unknown'}`);
  }

  #refused(option: number, expected: readonly number[]): void {
    this.#last(option, this.#reply(option), expected);
  }
}

/** Clients that do not ask for block sizes get a disk of whole sectors, whose last block the kernel can read. */
function inBlocks(found: ModelExport): ModelExport {
  const block = found.size % SECTOR === 0 ? SECTOR : 2 * SECTOR;
  const size = Math.ceil(found.size / block) * block;
  return size === found.size ? found : found.padded(size);
}

function hex(number: number): string {
  return `0x${number.toString(16)}`;
}

function parseInfo(data: Buffer): { name: Buffer; wanted: number[] } | null {
  if (data.length < 6) return null;
  const length = data.readUInt32BE(0);
  if (length > MAX_NAME || 6 + length > data.length) return null;
  const rest = data.subarray(6 + length);
  if (rest.length !== 2 * data.readUInt16BE(4 + length)) return null;
  const wanted = Array.from({ length: rest.length / 2 }, (_, i) => rest.readUInt16BE(2 * i));
  return { name: data.subarray(4, 4 + length), wanted };
}

/** `all`: the option had no query. */
function parseMeta(data: Buffer): { name: Buffer; queries: string[]; all: boolean } | null {
  const strings: Buffer[] = [];
  let at = 0;
  let left = 1;
  while (left > 0) {
    if (at + 4 > data.length) return null;
    const length = data.readUInt32BE(at);
    if (length > MAX_NAME || at + 4 + length > data.length) return null;
    strings.push(data.subarray(at + 4, at + 4 + length));
    at += 4 + length;
    left--;
    if (strings.length > 1) continue;
    if (at + 4 > data.length) return null;
    left = data.readUInt32BE(at);
    at += 4;
  }
  if (at !== data.length) return null;
  const [name, ...queries] = strings as [Buffer, ...Buffer[]];
  return { name, queries: queries.map((each) => each.toString('utf8')), all: queries.length === 0 };
}

/**
 * @returns null when the client gets no further than the handshake
 * @throws Violation, or Short
 */
export function judgeHandshake(streams: Streams, verdict: Verdict): Agreed | null {
  return new HandshakeJudge(streams, verdict).run();
}
