// The error of a client that breaks the protocol. It ends the client's connection, nothing else.

import { OverlaybdError } from '../errors.js';

/** The stream cannot be understood any further. */
export class ProtocolError extends OverlaybdError {
  constructor(message: string) {
    super('PROTOCOL', message);
    this.name = 'ProtocolError';
  }
}
