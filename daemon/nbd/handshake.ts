// The newstyle handshake, fixed or not: bytes in, bytes out, until an export is chosen. An incremental
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
  metaContextReply,
  optionReply,
  serverReply,
  textInfo,
} from './handshake-replies.js';
import { MAX_HANDSHAKE_BYTES, MAX_NAME_LENGTH, MAX_OPTION_LENGTH } from './limits.js';
import { listContexts, selectContexts, type MetaContext } from './meta-context.js';
import { nameOf } from './names.js';
import { noExport } from './no-export.js';
import { parseInfoQuery, parseMetaQuery } from './option-data.js';
import { otherProtocol } from './other-protocol.js';
import { inBlocks } from './padded-disk.js';
import { transmissionFlags, type ReplyForm, type Session } from './session.js';

/** How a handshake ended: with an export to serve, or with NBD_OPT_ABORT. */
export type HandshakeResult =
  | { readonly kind: 'transmission'; readonly export: NbdExport; readonly session: Session }
  | { readonly kind: 'abort' };

/** Whether clients may or must use TLS: 'off' is NOTLS and 'require' is FORCEDTLS in the protocol. */
export type TlsMode = 'off' | 'on' | 'require';

const CLIENT_FLAGS_SIZE = 4;
const NO_DATA = 'the option has no data';

export class Handshake {
  readonly #exports: ExportTable;
  readonly #send: (bytes: Buffer) => void;
  readonly #tls: TlsMode;
  #secure = false;
  #state: 'client flags' | 'option' = 'client flags';
  #noZeroes = false;
  /** Whether the client understands replies to options. */
  #fixed = false;
  /** Bytes of the client so far. */
  #received = 0;
  /** Bytes of an option that is too long, which are still to be discarded. */
  #discard = 0;
  #form: ReplyForm = 'simple';
  /** The contexts that SET_META_CONTEXT selected, and the only export for which they count. */
  #contexts: { readonly export: NbdExport; readonly selected: MetaContext[] } | null = null;

  /** @param send sends bytes to the client, in order */
  constructor(exports: ExportTable, send: (bytes: Buffer) => void, tls: TlsMode = 'off') {
    this.#exports = exports;
    this.#send = send;
    this.#tls = tls;
    send(greeting(NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES));
  }

  /** The result once there is one; the bytes after it belong to the transmission phase. */
  result: HandshakeResult | null = null;

  /** Whether NBD_OPT_STARTTLS was accepted. After the reply is sent, TLS begins, then call {@link secured}. */
  startsTls = false;

  /** The last refusal of an export that the client asked for; the log has it when the connection ends. */
  refused: string | null = null;

  /**
   * Whether what the client sends next can be used. Plain bytes that come while TLS is about to begin
   * must not be used, nor bytes after an abort: they stay where they are.
   */
  get wantsInput(): boolean {
    return !this.startsTls && this.result === null;
  }

  /**
   * What follows has come through TLS. All that was agreed on before is forgotten: an attacker may have
   * sent it. The client's flags stay, as they are never sent again.
   */
  secured(): void {
    this.startsTls = false;
    this.#secure = true;
    this.#form = 'simple';
    this.#contexts = null;
  }

  /**
   * Takes one item from the bytes that have arrived: the client's flags, or an option, or a part of an
   * option that is thrown away. One item a call, so that the caller can stop while replies are unsent.
   * @returns how many bytes were used; 0 when more must come first
   * @throws ProtocolError when the connection must end
   */
  step(bytes: Buffer): number {
    if (this.startsTls) {
      // An attacker may have put them there, to have them taken for options that came through TLS.
      if (bytes.length > 0) throw new ProtocolError('bytes after NBD_OPT_STARTTLS and before TLS');
      return 0;
    }
    if (this.#discard > 0) {
      const n = Math.min(this.#discard, bytes.length);
      this.#discard -= n;
      this.#count(n);
      return n;
    }
    if (this.#state === 'client flags') return this.#clientFlags(bytes);
    return this.#option(bytes);
  }

  #count(bytes: number): void {
    this.#received += bytes;
    if (this.#received > MAX_HANDSHAKE_BYTES) {
      throw new ProtocolError(`more than ${MAX_HANDSHAKE_BYTES} bytes in one handshake`);
    }
  }

  #clientFlags(bytes: Buffer): number {
    if (bytes.length < CLIENT_FLAGS_SIZE) return 0;
    const flags = bytes.readUInt32BE(0);
    if ((flags & ~(NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES)) !== 0) {
      const unknown = `client flags 0x${flags.toString(16)}: unknown bits`;
      throw new ProtocolError(otherProtocol(bytes) ?? unknown);
    }
    this.#fixed = (flags & NBD_FLAG_FIXED_NEWSTYLE) !== 0;
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
    if (!this.#fixed && option !== NBD_OPT.EXPORT_NAME) {
      throw new ProtocolError(
        `${nameOf('NBD_OPT', option)} from a client without NBD_FLAG_FIXED_NEWSTYLE: it may send NBD_OPT_EXPORT_NAME only`,
      );
    }
    if (!tooBig && bytes.length < OPTION_SIZE + length) return 0;
    this.#count(tooBig ? OPTION_SIZE : OPTION_SIZE + length);
    if (tooBig) {
      if (option === NBD_OPT.EXPORT_NAME) {
        throw new ProtocolError(
          `NBD_OPT_EXPORT_NAME with a name of ${length} bytes, at most ${MAX_NAME_LENGTH}`,
        );
      }
      this.#discard = length;
      if (option === NBD_OPT.SET_META_CONTEXT) this.#contexts = null; // also when it is refused
      if (this.#needsTls(option)) this.#requireTls(option);
      else this.#refuse(option, NBD_REP.ERR_TOO_BIG, `longer than ${MAX_OPTION_LENGTH} bytes`);
      return OPTION_SIZE;
    }
    this.#handle(option, bytes.subarray(OPTION_SIZE, OPTION_SIZE + length));
    return OPTION_SIZE + length;
  }

  #handle(option: number, data: Buffer): void {
    if (this.#needsTls(option)) return this.#requireTls(option);
    switch (option) {
      case NBD_OPT.EXPORT_NAME:
        return this.#exportName(data);
      case NBD_OPT.ABORT:
        this.#reply(option, NBD_REP.ACK);
        this.result = { kind: 'abort' };
        return;
      case NBD_OPT.STARTTLS:
        return this.#startTls(data);
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
        return this.#metaContext(option, data);
      default:
        this.#refuse(option, NBD_REP.ERR_UNSUP, 'the option is not supported');
    }
  }

  #needsTls(option: number): boolean {
    if (this.#tls !== 'require' || this.#secure) return false;
    return option !== NBD_OPT.STARTTLS && option !== NBD_OPT.ABORT;
  }

  #requireTls(option: number): void {
    // This option has no error reply.
    if (option === NBD_OPT.EXPORT_NAME) throw new ProtocolError('NBD_OPT_EXPORT_NAME without TLS');
    this.#refuse(option, NBD_REP.ERR_TLS_REQD, 'TLS must be started first');
  }

  #startTls(data: Buffer): void {
    const option = NBD_OPT.STARTTLS;
    if (data.length !== 0) {
      this.#refuse(option, NBD_REP.ERR_INVALID, NO_DATA);
    } else if (this.#secure) {
      this.#refuse(option, NBD_REP.ERR_INVALID, 'TLS is running already');
    } else if (this.#tls === 'off') {
      this.#refuse(option, NBD_REP.ERR_POLICY, 'TLS is not configured');
    } else {
      this.startsTls = true;
      this.#reply(option, NBD_REP.ACK);
    }
  }

  /** NBD_OPT_EXPORT_NAME, which has no error reply: the connection ends instead. */
  #exportName(data: Buffer): void {
    const found =
      data.length <= MAX_NAME_LENGTH ? this.#exports.find(data.toString('utf8')) : undefined;
    if (!found) throw new ProtocolError(noExport(data, this.#exports));
    if (this.#form === 'extended') {
      throw new ProtocolError('NBD_OPT_EXPORT_NAME after extended headers were negotiated');
    }
    const served = inBlocks(found);
    this.#send(exportNameReply(served, transmissionFlags(this.#form), this.#noZeroes));
    this.#enter(found, served);
  }

  /** @param served the export as this client sees it */
  #enter(found: NbdExport, served: NbdExport): void {
    const contexts = this.#contexts?.export === found ? this.#contexts.selected : [];
    this.result = {
      kind: 'transmission',
      export: served,
      session: { form: this.#form, contexts },
    };
  }

  #list(data: Buffer): void {
    if (data.length !== 0) {
      this.#refuse(NBD_OPT.LIST, NBD_REP.ERR_INVALID, NO_DATA);
      return;
    }
    for (const listed of this.#exports.list()) this.#send(serverReply(listed));
    this.#reply(NBD_OPT.LIST, NBD_REP.ACK);
  }

  #info(option: number, data: Buffer): void {
    const query = parseInfoQuery(data);
    if (typeof query === 'string') {
      this.#refuse(option, NBD_REP.ERR_INVALID, query);
      return;
    }
    const found = this.#exports.find(query.name.toString('utf8'));
    if (!found) {
      this.refused = noExport(query.name, this.#exports);
      this.#reply(option, NBD_REP.ERR_UNKNOWN, this.refused);
      return;
    }
    this.refused = null;
    // A client that does not ask for block sizes may be a kernel, whose smallest block is a sector.
    const served = query.wanted.has(NBD_INFO.BLOCK_SIZE) ? found : inBlocks(found);
    const flags = transmissionFlags(this.#form);
    this.#send(optionReply(option, NBD_REP.INFO, exportInfo(served, flags)));
    this.#send(optionReply(option, NBD_REP.INFO, blockSizeInfo(served)));
    if (query.wanted.has(NBD_INFO.NAME)) {
      this.#send(optionReply(option, NBD_REP.INFO, textInfo(NBD_INFO.NAME, found.name)));
    }
    if (query.wanted.has(NBD_INFO.DESCRIPTION)) {
      const info = textInfo(NBD_INFO.DESCRIPTION, found.description);
      this.#send(optionReply(option, NBD_REP.INFO, info));
    }
    this.#reply(option, NBD_REP.ACK);
    if (option === NBD_OPT.GO) this.#enter(found, served);
  }

  /** Extended headers win over structured replies, in whatever order the client asks. */
  #replyForm(option: number, data: Buffer): void {
    if (data.length !== 0) {
      this.#refuse(option, NBD_REP.ERR_INVALID, NO_DATA);
    } else if (option === NBD_OPT.EXTENDED_HEADERS && this.#form === 'extended') {
      this.#refuse(option, NBD_REP.ERR_INVALID, 'extended headers are negotiated already');
    } else if (option === NBD_OPT.EXTENDED_HEADERS) {
      this.#form = 'extended';
      this.#reply(option, NBD_REP.ACK);
    } else if (this.#form === 'extended') {
      const reason = 'extended headers are negotiated already';
      this.#refuse(option, NBD_REP.ERR_EXT_HEADER_REQD, reason);
    } else {
      this.#form = 'structured';
      this.#reply(option, NBD_REP.ACK);
    }
  }

  #metaContext(option: number, data: Buffer): void {
    const isSet = option === NBD_OPT.SET_META_CONTEXT;
    if (isSet) this.#contexts = null; // also when the request fails
    const query = parseMetaQuery(data);
    if (typeof query === 'string') {
      this.#refuse(option, NBD_REP.ERR_INVALID, query);
      return;
    }
    if (isSet && this.#form === 'simple') {
      this.#refuse(option, NBD_REP.ERR_INVALID, 'structured replies must be negotiated first');
      return;
    }
    const found = this.#exports.find(query.name.toString('utf8'));
    if (!found) {
      this.#reply(option, NBD_REP.ERR_UNKNOWN, noExport(query.name, this.#exports));
      return;
    }
    const contexts = isSet ? selectContexts(query.queries) : listContexts(query.queries);
    if (isSet) this.#contexts = { export: found, selected: contexts };
    contexts.forEach(({ name }, id) => {
      this.#send(metaContextReply(option, isSet ? id : 0, name));
    });
    this.#reply(option, NBD_REP.ACK);
  }

  /** @param reason for people; clients show it */
  #refuse(option: number, reply: number, reason: string): void {
    this.#reply(option, reply, `${nameOf('NBD_OPT', option)}: ${reason}`);
  }

  /** @param message for people, in an error reply */
  #reply(option: number, reply: number, message = ''): void {
    this.#send(optionReply(option, reply, Buffer.from(message)));
  }
}
