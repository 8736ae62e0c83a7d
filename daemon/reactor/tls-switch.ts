// The transport of a connection: the plain socket at first; if the client asks for TLS, one inside TLS,
// which takes the descriptor over.

import type { TlsMode } from '../nbd/handshake.js';
import type { ConnectionContext } from './connection-context.js';
import { PlainTransport } from './plain-transport.js';
import { TlsTransport, type TlsHost } from './tls-transport.js';
import type { EventHandler, Transport } from './transport.js';

export class TlsSwitch {
  transport: Transport;
  /** The transport while it is the plain one. */
  plain: PlainTransport | null;
  /** The setting when the client came. */
  readonly #tls: NonNullable<ConnectionContext['tls']> | null;
  readonly #onEvents: EventHandler;

  /** Takes over a connected, nonblocking socket. */
  constructor(fd: number, tls: ConnectionContext['tls'], onEvents: EventHandler) {
    this.#tls = tls ?? null;
    this.#onEvents = onEvents;
    this.plain = new PlainTransport(fd, onEvents);
    this.transport = this.plain;
  }

  get mode(): TlsMode {
    return this.#tls?.mode ?? 'off';
  }

  /** From the next byte on, both sides speak TLS. */
  startTls(host: TlsHost): void {
    if (!this.#tls || !this.plain) throw new TypeError('TLS on a connection that cannot have it');
    const fd = this.plain.release();
    this.plain = null;
    this.transport = new TlsTransport(fd, this.#tls.acceptor, this.#onEvents, host);
  }
}
