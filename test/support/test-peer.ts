// A peer for tests that do not care who connects.

import type { Peer } from '../../daemon/reactor/peer.js';

export function testPeer(text = 'test', group = text): Peer {
  return { kind: 'unix', group, uid: null, device: null, text };
}
