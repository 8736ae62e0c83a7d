// How many connections each peer has, and what is said of those that are refused. Knows no sockets.

import type { Logger } from '../log/logger.js';

/** Lines about the same peer and reason are at least so far apart. */
export const REFUSAL_LINE_MS = 10_000;
/** Peers whose last line is remembered; beyond it, all are forgotten. */
const MAX_REMEMBERED = 1024;

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

/** A flood of refusals must not become a flood of lines. */
export class RefusalLog {
  readonly #log: Logger;
  readonly #now: () => number;
  readonly #last = new Map<string, { at: number; silent: number }>();

  constructor(log: Logger, now: () => number = () => performance.now()) {
    this.#log = log;
    this.#now = now;
  }

  /** @param key what shares a line: the reason, maybe with the peer's group */
  refused(key: string, peer: string, reason: string): void {
    const now = this.#now();
    const last = this.#last.get(key);
    if (last && now - last.at < REFUSAL_LINE_MS) {
      last.silent += 1;
      return;
    }
    const more = last && last.silent > 0 ? ` (${last.silent} more since the last such line)` : '';
    this.#log.log('warn', `${peer}: refused: ${reason}${more}`, { peer, reason });
    if (this.#last.size >= MAX_REMEMBERED) this.#last.clear();
    this.#last.set(key, { at: now, silent: 0 });
  }
}
