// Peers of connections from a daemon of version 0.1, which sends only the text of its log.

import { peerOf } from '../listen/peer.js';
import type { Peer } from '../reactor/peer.js';

/** The text of a device has its id. For a client, asks the system again. */
export function peerOfOlder(text: string, fd: number): Peer {
  const device = /^\/dev\/nbd\d+ ([0-9a-f]{16})$/.exec(text)?.[1];
  if (device === undefined) return { ...peerOf(fd), text };
  return { kind: 'device', group: text, uid: null, device, text };
}
