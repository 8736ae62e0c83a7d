// Counts the connections of each group of peers.

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
