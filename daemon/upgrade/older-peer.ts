// Peers as daemons of version 0.1 name them when they hand over: by the text of their logs alone.

import { peerOf } from '../listen/peer.js';
import type { Peer } from '../reactor/peer.js';

/** Devices have their id in the text; of clients the system is asked again. */
export function peerOfOlder(text: string, fd: number): Peer {
  const device = /^\/dev\/nbd\d+ ([0-9a-f]{16})$/.exec(text)?.[1];
  if (device === undefined) return { ...peerOf(fd), text };
  return { kind: 'device', group: text, uid: null, device, text };
}
