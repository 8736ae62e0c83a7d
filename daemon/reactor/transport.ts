// How a connection moves bytes: the same few calls whether the socket is plain or inside TLS.
// Types only.

export interface Transport {
  /** Bytes received; 0 is the end of the stream; -errno, -EAGAIN when nothing is there. */
  recv(buffer: Buffer, offset: number, length: number): number;
  /** Bytes taken, maybe fewer than `length`; -errno, -EAGAIN when there is no room. */
  send(bytes: Buffer, offset: number, length: number): number;
  /**
   * Which of POLL_READABLE and POLL_WRITABLE to tell of, again and again while they hold; 0 for
   * none. After a short `send`, POLL_WRITABLE says when the next one takes bytes.
   */
  watch(events: number): void;
  /**
   * Whether bytes that `send` took have not reached the system yet. POLL_WRITABLE says when they
   * have; closing now would lose them.
   */
  readonly pending: boolean;
  /** How long the peer may leave what was sent unanswered before the system ends the connection. */
  userTimeout(ms: number): void;
  /** Nothing more is sent; what was sent arrives, then the client sees the end. */
  shutdown(): void;
  /**
   * For good, and once: watches nothing and closes the descriptor, maybe a little later.
   * @param closed called once the descriptor is closed, maybe at once
   */
  close(closed: () => void): void;
}

/** Is told what is watched for. */
export type EventHandler = (events: number) => void;
