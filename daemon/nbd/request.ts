// A read request that could not be answered at once, as it is kept until it can. Types only.

export interface ReadRequest {
  /** Bytes. */
  readonly offset: number;
  readonly length: number;
  /** The cookie's 8 opaque bytes as two numbers. */
  readonly cookieHigh: number;
  readonly cookieLow: number;
}
