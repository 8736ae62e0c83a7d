// The image of a record is another one by now. Any other error says nothing about the image: the disk or the daemon fails.

import { OverlaybdError, type ErrorCode } from '../errors.js';

export class Misfit extends OverlaybdError {
  /** @param message why it is not the image; '' if there is nothing to add */
  constructor(message: string, code: ErrorCode = 'BAD_FORMAT', cause?: unknown) {
    super(code, message, { cause });
  }
}
