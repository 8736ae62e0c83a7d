// A connection from the greeting to its export: the handshake, turn by turn, and TLS if the client starts it.

import type { ExportTable, NbdExport } from '../nbd/export.js';
import { Handshake } from '../nbd/handshake.js';
import type { Outbox } from '../nbd/outbox.js';
import type { Session } from '../nbd/session.js';
import { HUNG_UP } from './close-reason.js';
import { handshakeTurn } from './handshake-turn.js';
import type { Inbox } from './inbox.js';
import type { CloseKind } from './messages.js';
import type { TlsSwitch } from './tls-switch.js';

/** What a negotiation needs from its connection. */
export interface NegotiationHost {
  readonly inbox: Inbox;
  readonly outbox: Outbox;
  readonly line: TlsSwitch;
  /** Call {@link Negotiation.turn} soon. */
  wake(): void;
  /** The client begins TLS, after the last plain byte. */
  tlsBegins(): void;
  /** TLS is there. @param client its identity, if clients must have one */
  secured(client: string | null, protocol: string): void;
  /** The client has chosen an export: the negotiation is over. */
  chosen(served: NbdExport, session: Session): void;
  close(reason: string, kind?: CloseKind): void;
}

export class Negotiation {
  readonly #handshake: Handshake;
  readonly #host: NegotiationHost;

  /** Writes the greeting. */
  constructor(exports: ExportTable, host: NegotiationHost) {
    const write = (bytes: Buffer): void => host.outbox.write(bytes);
    this.#handshake = new Handshake(exports, write, host.line.mode);
    this.#host = host;
  }

  get wantsInput(): boolean {
    return this.#handshake.wantsInput;
  }

  /** The last refusal of an export that the client asked for. */
  get refused(): string | null {
    return this.#handshake.refused;
  }

  /** Takes the options that have come. @throws ProtocolError when the connection must end */
  turn(): void {
    const host = this.#host;
    const turn = handshakeTurn(this.#handshake, host.inbox, host.outbox);
    switch (turn) {
      case 'waiting':
        return;
      case 'turn is over':
        return host.wake();
      case 'tls':
        return this.#startTls();
      case 'aborted':
        return host.close('client aborted the handshake');
      case 'hung up':
        return host.close(HUNG_UP);
      default:
        host.chosen(turn.export, turn.session);
    }
  }

  #startTls(): void {
    const host = this.#host;
    host.tlsBegins();
    host.line.startTls({
      secured: (client, protocol) => {
        this.#handshake.secured();
        host.secured(client, protocol);
      },
      failed: (reason, kind) => host.close(reason, kind),
    });
  }
}
