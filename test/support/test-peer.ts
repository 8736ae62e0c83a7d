// A peer for tests in which the client's identity does not matter.

import type { Peer } from '../../daemon/reactor/peer.js';

export function testPeer(text = 'test', group = text): Peer {
  return { kind: 'unix', group, uid: null, device: null, text };
}
