// The fixed newstyle handshake: bytes in, bytes out, until an export is chosen. An incremental
// parser without sockets or timers.

import {
  IHAVEOPT_HIGH,
  IHAVEOPT_LOW,
  NBD_FLAG_FIXED_NEWSTYLE,
  NBD_FLAG_NO_ZEROES,
  NBD_INFO,
  NBD_OPT,
  NBD_REP,
  OPTION_SIZE,
} from './constants.js';
import { ProtocolError } from './errors.js';
import type { ExportTable, NbdExport } from './export.js';
import {
  blockSizeInfo,
  exportInfo,
  exportNameReply,
  greeting,
  optionReply,
  serverReply,
  textInfo,
} from './handshake-replies.js';
import { MAX_NAME_LENGTH, MAX_OPTIONS, MAX_OPTION_LENGTH } from './limits.js';

/** How a handshake ended: with an export to serve, or at the client's wish. */
export type HandshakeResult =
  { readonly kind: 'transmission'; readonly export: NbdExport } | { readonly kind: 'abort' };

const CLIENT_FLAGS_SIZE = 4;

export class Handshake {
  readonly #exports: ExportTable;
  readonly #send: (bytes: Buffer) => void;
  #state: 'client flags' | 'option' = 'client flags';
  #noZeroes = false;
  #options = 0;
  /** Bytes of an option that is too long, still to be thrown away. */
  #discard = 0;

  /** @param send takes the bytes for the client, in order */
  constructor(exports: ExportTable, send: (bytes: Buffer) => void) {
    this.#exports = exports;
    this.#send = send;
    send(greeting(NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES));
  }

  /** The result once there is one; the bytes behind it belong to the transmission phase. */
  result: HandshakeResult | null = null;

  /**
   * Takes one thing of what has arrived: the client's flags, or an option, or a part of one that is
   * thrown away. One at a time, so that the caller can stop while replies are unsent.
   * @returns how many bytes were used; 0 when more must come first
   * @throws ProtocolError when the connection must end
   */
  step(bytes: Buffer): number {
    if (this.#discard > 0) {
      const n = Math.min(this.#discard, bytes.length);
      this.#discard -= n;
      return n;
    }
    if (this.#state === 'client flags') return this.#clientFlags(bytes);
    return this.#option(bytes);
  }

  #clientFlags(bytes: Buffer): number {
    if (bytes.length < CLIENT_FLAGS_SIZE) return 0;
    const flags = bytes.readUInt32BE(0);
    if ((flags & ~(NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES)) !== 0) {
      throw new ProtocolError(`client flags 0x${flags.toString(16)}: unknown bits`);
    }
    if ((flags & NBD_FLAG_FIXED_NEWSTYLE) === 0) {
      throw new ProtocolError('client does not speak the fixed newstyle handshake');
    }
    this.#noZeroes = (flags & NBD_FLAG_NO_ZEROES) !== 0;
    this.#state = 'option';
    return CLIENT_FLAGS_SIZE;
  }

  #option(bytes: Buffer): number {
    if (bytes.length < OPTION_SIZE) return 0;
    if (bytes.readUInt32BE(0) !== IHAVEOPT_HIGH || bytes.readUInt32BE(4) !== IHAVEOPT_LOW) {
      throw new ProtocolError(`option magic 0x${bytes.toString('hex', 0, 8)}: not IHAVEOPT`);
    }
    const option = bytes.readUInt32BE(8);
    const length = bytes.readUInt32BE(12);
    const tooBig = length > MAX_OPTION_LENGTH;
    if (!tooBig && bytes.length < OPTION_SIZE + length) return 0;
    if (++this.#options > MAX_OPTIONS) {
      throw new ProtocolError(`more than ${MAX_OPTIONS} options in one handshake`);
    }
    if (tooBig) {
      if (option === NBD_OPT.EXPORT_NAME) {
        throw new ProtocolError(`export name of ${length} bytes, at most ${MAX_NAME_LENGTH}`);
      }
      this.#discard = length;
      this.#reply(option, NBD_REP.ERR_TOO_BIG, `option longer than ${MAX_OPTION_LENGTH} bytes`);
      return OPTION_SIZE;
    }
    this.#handle(option, bytes.subarray(OPTION_SIZE, OPTION_SIZE + length));
    return OPTION_SIZE + length;
  }

  #handle(option: number, data: Buffer): void {
    switch (option) {
      case NBD_OPT.EXPORT_NAME:
        return this.#exportName(data);
      case NBD_OPT.ABORT:
        this.#reply(option, NBD_REP.ACK);
        this.result = { kind: 'abort' };
        return;
      case NBD_OPT.LIST:
        return this.#list(data);
      case NBD_OPT.INFO:
      case NBD_OPT.GO:
        return this.#info(option, data);
      default:
        this.#reply(option, NBD_REP.ERR_UNSUP, `option ${option} is not supported`);
    }
  }

  /** The one option that cannot be refused: the connection ends instead. */
  #exportName(data: Buffer): void {
    const found =
      data.length <= MAX_NAME_LENGTH ? this.#exports.find(data.toString('utf8')) : undefined;
    if (!found) throw new ProtocolError(`no export named ${printable(data)}`);
    this.#send(exportNameReply(found, this.#noZeroes));
    this.result = { kind: 'transmission', export: found };
  }

  #list(data: Buffer): void {
    if (data.length !== 0) {
      this.#reply(NBD_OPT.LIST, NBD_REP.ERR_INVALID, 'NBD_OPT_LIST has no data');
      return;
    }
    for (const each of this.#exports.list()) this.#send(serverReply(each));
    this.#reply(NBD_OPT.LIST, NBD_REP.ACK);
  }

  #info(option: number, data: Buffer): void {
    const query = parseInfoQuery(data);
    if (typeof query === 'string') {
      this.#reply(option, NBD_REP.ERR_INVALID, query);
      return;
    }
    const found = this.#exports.find(query.name.toString('utf8'));
    if (!found) {
      this.#reply(option, NBD_REP.ERR_UNKNOWN, `no export named ${printable(query.name)}`);
      return;
    }
    this.#send(optionReply(option, NBD_REP.INFO, exportInfo(found)));
    this.#send(optionReply(option, NBD_REP.INFO, blockSizeInfo(found)));
    if (query.wanted.has(NBD_INFO.NAME)) {
      this.#send(optionReply(option, NBD_REP.INFO, textInfo(NBD_INFO.NAME, found.name)));
    }
    if (query.wanted.has(NBD_INFO.DESCRIPTION)) {
      const info = textInfo(NBD_INFO.DESCRIPTION, found.description);
      this.#send(optionReply(option, NBD_REP.INFO, info));
    }
    this.#reply(option, NBD_REP.ACK);
    if (option === NBD_OPT.GO) this.result = { kind: 'transmission', export: found };
  }

  /** @param message tells people why, in an error reply */
  #reply(option: number, reply: number, message = ''): void {
    this.#send(optionReply(option, reply, Buffer.from(message)));
  }
}

interface InfoQuery {
  readonly name: Buffer;
  readonly wanted: ReadonlySet<number>;
}

/** The data of OPT_INFO and OPT_GO: name, then what else is wanted; a string says what is wrong. */
function parseInfoQuery(data: Buffer): InfoQuery | string {
  if (data.length < 6) return 'shorter than a name length and a count';
  const nameLength = data.readUInt32BE(0);
  if (nameLength > MAX_NAME_LENGTH) return `name longer than ${MAX_NAME_LENGTH} bytes`;
  if (4 + nameLength + 2 > data.length) return 'name reaches past the end of the option';
  const count = data.readUInt16BE(4 + nameLength);
  const from = 4 + nameLength + 2;
  if (from + 2 * count !== data.length) return 'count of requests does not match the length';
  const wanted = new Set<number>();
  for (let i = 0; i < count; i++) wanted.add(data.readUInt16BE(from + 2 * i));
  return { name: data.subarray(4, 4 + nameLength), wanted };
}

/** A client's bytes, fit for a log line. */
function printable(bytes: Buffer): string {
  const text = bytes.toString('utf8', 0, 64);
  return JSON.stringify(bytes.length > 64 ? `${text}...` : text);
}
