// What a client negotiates by options: the form of replies, metadata contexts, and in the end an export. Answers one
// option at a time. handshake.ts finds the options in the bytes, and decides about TLS.

import { NBD_INFO, NBD_OPT, NBD_REP } from './constants.js';
import { ProtocolError } from './errors.js';
import type { ExportTable, NbdExport } from './export.js';
import {
  blockSizeInfo,
  exportInfo,
  exportNameReply,
  metaContextReply,
  optionReply,
  serverReply,
  textInfo,
} from './handshake-replies.js';
import { MAX_NAME_LENGTH } from './limits.js';
import { listContexts, selectContexts, type MetaContext } from './meta-context.js';
import { nameOf } from './names.js';
import { noExport } from './no-export.js';
import { parseInfoQuery, parseMetaQuery } from './option-data.js';
import { inBlocks } from './padded-disk.js';
import { transmissionFlags, type ReplyForm, type Session } from './session.js';

export const NO_DATA = 'the option has no data';

/** The export that the client has chosen, as this client sees it. */
interface Chosen {
  readonly export: NbdExport;
  readonly session: Session;
}

export class OptionAnswers {
  readonly #exports: ExportTable;
  readonly #send: (bytes: Buffer) => void;
  #form: ReplyForm = 'simple';
  /** The contexts that SET_META_CONTEXT selected, and the only export for which they count. */
  #contexts: { readonly export: NbdExport; readonly selected: MetaContext[] } | null = null;

  /** @param send sends bytes to the client, in order */
  constructor(exports: ExportTable, send: (bytes: Buffer) => void) {
    this.#exports = exports;
    this.#send = send;
  }

  chosen: Chosen | null = null;

  /** The last refusal of an export that the client asked for; the log has it when the connection ends. */
  refused: string | null = null;

  /** Forgets all that was negotiated. */
  reset(): void {
    this.#form = 'simple';
    this.#contexts = null;
  }

  /** @throws ProtocolError when the connection must end */
  answer(option: number, data: Buffer): void {
    switch (option) {
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
        this.refuse(option, NBD_REP.ERR_UNSUP, 'the option is not supported');
    }
  }

  /** An option whose data are not looked at. */
  tooLong(option: number, most: number): void {
    if (option === NBD_OPT.SET_META_CONTEXT) this.#contexts = null; // also when it is refused
    this.refuse(option, NBD_REP.ERR_TOO_BIG, `longer than ${most} bytes`);
  }

  /** NBD_OPT_EXPORT_NAME, which has no error reply: the connection ends instead. */
  exportName(data: Buffer, noZeroes: boolean): void {
    const found =
      data.length <= MAX_NAME_LENGTH ? this.#exports.find(data.toString('utf8')) : undefined;
    if (!found) throw new ProtocolError(noExport(data, this.#exports));
    if (this.#form === 'extended') {
      throw new ProtocolError('NBD_OPT_EXPORT_NAME after extended headers were negotiated');
    }
    const served = inBlocks(found);
    this.#send(exportNameReply(served, transmissionFlags(this.#form), noZeroes));
    this.#enter(found, served);
  }

  /** @param served the export as this client sees it */
  #enter(found: NbdExport, served: NbdExport): void {
    const contexts = this.#contexts?.export === found ? this.#contexts.selected : [];
    this.chosen = { export: served, session: { form: this.#form, contexts } };
  }

  #list(data: Buffer): void {
    if (data.length !== 0) {
      this.refuse(NBD_OPT.LIST, NBD_REP.ERR_INVALID, NO_DATA);
      return;
    }
    for (const listed of this.#exports.list()) this.#send(serverReply(listed));
    this.reply(NBD_OPT.LIST, NBD_REP.ACK);
  }

  #info(option: number, data: Buffer): void {
    const query = parseInfoQuery(data);
    if (typeof query === 'string') {
      this.refuse(option, NBD_REP.ERR_INVALID, query);
      return;
    }
    const found = this.#exports.find(query.name.toString('utf8'));
    if (!found) {
      this.refused = noExport(query.name, this.#exports);
      this.reply(option, NBD_REP.ERR_UNKNOWN, this.refused);
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
    this.reply(option, NBD_REP.ACK);
    if (option === NBD_OPT.GO) this.#enter(found, served);
  }

  /** Extended headers override structured replies, in any order of the options. */
  #replyForm(option: number, data: Buffer): void {
    if (data.length !== 0) {
      this.refuse(option, NBD_REP.ERR_INVALID, NO_DATA);
    } else if (option === NBD_OPT.EXTENDED_HEADERS && this.#form === 'extended') {
      this.refuse(option, NBD_REP.ERR_INVALID, 'extended headers are negotiated already');
    } else if (option === NBD_OPT.EXTENDED_HEADERS) {
      this.#form = 'extended';
      this.reply(option, NBD_REP.ACK);
    } else if (this.#form === 'extended') {
      const reason = 'extended headers are negotiated already';
      this.refuse(option, NBD_REP.ERR_EXT_HEADER_REQD, reason);
    } else {
      this.#form = 'structured';
      this.reply(option, NBD_REP.ACK);
    }
  }

  #metaContext(option: number, data: Buffer): void {
    const isSet = option === NBD_OPT.SET_META_CONTEXT;
    if (isSet) this.#contexts = null; // also when the request fails
    const query = parseMetaQuery(data);
    if (typeof query === 'string') {
      this.refuse(option, NBD_REP.ERR_INVALID, query);
      return;
    }
    if (isSet && this.#form === 'simple') {
      this.refuse(option, NBD_REP.ERR_INVALID, 'structured replies must be negotiated first');
      return;
    }
    const found = this.#exports.find(query.name.toString('utf8'));
    if (!found) {
      this.reply(option, NBD_REP.ERR_UNKNOWN, noExport(query.name, this.#exports));
      return;
    }
    const contexts = isSet ? selectContexts(query.queries) : listContexts(query.queries);
    if (isSet) this.#contexts = { export: found, selected: contexts };
    contexts.forEach(({ name }, id) => {
      this.#send(metaContextReply(option, isSet ? id : 0, name));
    });
    this.reply(option, NBD_REP.ACK);
  }

  /** @param reason for people; clients show it */
  refuse(option: number, reply: number, reason: string): void {
    this.reply(option, reply, `${nameOf('NBD_OPT', option)}: ${reason}`);
  }

  /** @param message for people, in an error reply */
  reply(option: number, reply: number, message = ''): void {
    this.#send(optionReply(option, reply, Buffer.from(message)));
  }
}
