// How many connections each peer has. Knows no sockets.

/** Who counts as one: the IP address, the user of a Unix socket, or the CID of a peer's name. */
export function peerGroup(peer: string): string {
  const [, address] = /^(\[[^\]]+\]|[\d.]+):\d+$/.exec(peer) ?? [];
  if (address !== undefined) return address;
  return /\b(?:uid|cid) \d+/.exec(peer)?.[0] ?? peer;
}

/** Connections by peer. */
export class PeerCounts {
  readonly #counts = new Map<string, number>();

  get(group: string): number {
    return this.#counts.get(group) ?? 0;
  }

  /** Of all peers. */
  get total(): number {
    return [...this.#counts.values()].reduce((sum, each) => sum + each, 0);
  }

  add(group: string): void {
    this.#counts.set(group, this.get(group) + 1);
  }

  remove(group: string): void {
    const left = this.get(group) - 1;
    if (left > 0) this.#counts.set(group, left);
    else this.#counts.delete(group);
  }
}
