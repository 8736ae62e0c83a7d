// The other end of a connection, as a value: made once, where the connection comes from, and kept with it
// through reactors and upgrades. Types only.

export interface Peer {
  /** 'unknown': a TCP connection that its peer had reset before it was accepted. */
  readonly kind: 'tcp' | 'unix' | 'vsock' | 'device' | 'stdio' | 'unknown';
  /** Peers of one group share one limit of connections: those of an IP address, a user, or a CID. */
  readonly group: string;
  /** The user of a Unix socket's client; null for any other peer. */
  readonly uid: number | null;
  /** The id of the attached device, if the kernel is the client. */
  readonly device: string | null;
  /** For logs: "10.0.0.7:4711", "pid 42 uid 0". */
  readonly text: string;
}
