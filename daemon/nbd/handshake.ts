// The newstyle handshake, fixed or not: bytes in, bytes out, until an export is chosen. An incremental
// parser without sockets or timers.

import {
  IHAVEOPT_HIGH,
  IHAVEOPT_LOW,
  NBD_FLAG_FIXED_NEWSTYLE,
  NBD_FLAG_NO_ZEROES,
  NBD_OPT,
  NBD_REP,
  OPTION_SIZE,
} from './constants.js';
import { ProtocolError } from './errors.js';
import type { ExportTable, NbdExport } from './export.js';
import { greeting } from './handshake-replies.js';
import { MAX_HANDSHAKE_BYTES, MAX_NAME_LENGTH, MAX_OPTION_LENGTH } from './limits.js';
import { nameOf } from './names.js';
import { NO_DATA, OptionAnswers } from './option-answers.js';
import { otherProtocol } from './other-protocol.js';
import type { Session } from './session.js';

/** How a handshake ended: with an export to serve, or with NBD_OPT_ABORT. */
export type HandshakeResult =
  | { readonly kind: 'transmission'; readonly export: NbdExport; readonly session: Session }
  | { readonly kind: 'abort' };

/** Whether clients may or must use TLS: 'off' is NOTLS and 'require' is FORCEDTLS in the protocol. */
export type TlsMode = 'off' | 'on' | 'require';

const CLIENT_FLAGS_SIZE = 4;

export class Handshake {
  readonly #answers: OptionAnswers;
  readonly #tls: TlsMode;
  #secure = false;
  #state: 'client flags' | 'option' = 'client flags';
  #noZeroes = false;
  /** Whether the client understands replies to options. */
  #fixed = false;
  /** By NBD_OPT_ABORT. */
  #isAborted = false;
  /** Bytes of the client so far. */
  #received = 0;
  /** Bytes of an option that is too long, which are still to be discarded. */
  #discard = 0;

  /** @param send sends bytes to the client, in order */
  constructor(exports: ExportTable, send: (bytes: Buffer) => void, tls: TlsMode = 'off') {
    this.#answers = new OptionAnswers(exports, send);
    this.#tls = tls;
    send(greeting(NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES));
  }

  /** The result once there is one; the bytes after it belong to the transmission phase. */
  get result(): HandshakeResult | null {
    const { chosen } = this.#answers;
    if (chosen) return { kind: 'transmission', ...chosen };
    return this.#isAborted ? { kind: 'abort' } : null;
  }

  /** Whether NBD_OPT_STARTTLS was accepted. After the reply is sent, TLS begins, then call {@link secured}. */
  startsTls = false;

  /** The last refusal of an export that the client asked for; the log has it when the connection ends. */
  get refused(): string | null {
    return this.#answers.refused;
  }

  /**
   * Whether the next bytes of the client can be used. Plain bytes that come just before TLS begins
   * must not be used, nor bytes after an abort: they stay where they are.
   */
  get wantsInput(): boolean {
    return !this.startsTls && !this.#isAborted && this.#answers.chosen === null;
  }

  /**
   * The bytes from here on have come through TLS. Forgets all that was negotiated before: an attacker may have
   * sent it. The client's flags stay, as they are never sent again.
   */
  secured(): void {
    this.startsTls = false;
    this.#secure = true;
    this.#answers.reset();
  }

  /**
   * Takes one item from the bytes that have arrived: the client's flags, or an option, or a part of an
   * option that is thrown away. One item a call, so that the caller can stop while replies are unsent.
   * @returns how many bytes were used; 0 when more must come first
   * @throws ProtocolError when the connection must end
   */
  step(bytes: Buffer): number {
    if (this.startsTls) {
      // An attacker may have inserted them, so that they look like options that came through TLS.
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
      if (this.#needsTls(option)) this.#requireTls(option);
      else this.#answers.tooLong(option, MAX_OPTION_LENGTH);
      return OPTION_SIZE;
    }
    this.#handle(option, bytes.subarray(OPTION_SIZE, OPTION_SIZE + length));
    return OPTION_SIZE + length;
  }

  #handle(option: number, data: Buffer): void {
    if (this.#needsTls(option)) return this.#requireTls(option);
    switch (option) {
      case NBD_OPT.EXPORT_NAME:
        return this.#answers.exportName(data, this.#noZeroes);
      case NBD_OPT.ABORT:
        this.#answers.reply(option, NBD_REP.ACK);
        this.#isAborted = true;
        return;
      case NBD_OPT.STARTTLS:
        return this.#startTls(data);
      default:
        this.#answers.answer(option, data);
    }
  }

  #needsTls(option: number): boolean {
    if (this.#tls !== 'require' || this.#secure) return false;
    return option !== NBD_OPT.STARTTLS && option !== NBD_OPT.ABORT;
  }

  #requireTls(option: number): void {
    // This option has no error reply.
    if (option === NBD_OPT.EXPORT_NAME) throw new ProtocolError('NBD_OPT_EXPORT_NAME without TLS');
    this.#answers.refuse(option, NBD_REP.ERR_TLS_REQD, 'TLS must be started first');
  }

  #startTls(data: Buffer): void {
    const option = NBD_OPT.STARTTLS;
    if (data.length !== 0) {
      this.#answers.refuse(option, NBD_REP.ERR_INVALID, NO_DATA);
    } else if (this.#secure) {
      this.#answers.refuse(option, NBD_REP.ERR_INVALID, 'TLS is running already');
    } else if (this.#tls === 'off') {
      this.#answers.refuse(option, NBD_REP.ERR_POLICY, 'TLS is not configured');
    } else {
      this.startsTls = true;
      this.#answers.reply(option, NBD_REP.ACK);
    }
  }
}
