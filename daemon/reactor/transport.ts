// The interface by which a connection moves bytes, with TLS and without. Types only.

export interface Transport {
  /** @returns bytes received, 0 at the end of the stream, or -errno: -EAGAIN if nothing is there */
  recv(buffer: Buffer, offset: number, length: number): number;
  /** @returns bytes taken, maybe fewer than `length`, or -errno: -EAGAIN if there is no room */
  send(bytes: Buffer, offset: number, length: number): number;
  /**
   * Which of POLL_READABLE and POLL_WRITABLE to report, repeatedly while they hold; 0 for none. After a
   * short `send`, POLL_WRITABLE means that the next one takes bytes.
   */
  watch(events: number): void;
  /**
   * Whether bytes that `send` took have not reached the system yet. POLL_WRITABLE means that they have;
   * closing before would lose them.
   */
  readonly pending: boolean;
  /** How long the peer may leave sent bytes unacknowledged before the system ends the connection. */
  userTimeout(ms: number): void;
  /** Ends the output: bytes that were sent arrive, then the client sees the end of the stream. */
  shutdown(): void;
  /**
   * Call once. Stops watching and closes the descriptor, maybe a little later.
   * @param closed called once the descriptor is closed, maybe at once
   */
  close(closed: () => void): void;
}

/** Called with those of the watched events that hold. */
export type EventHandler = (events: number) => void;
