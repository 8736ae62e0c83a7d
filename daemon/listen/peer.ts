// Identifies the peer of a connection, by asking the system once.

import { sockets, type PeerAddress } from '../native/socket.js';
import type { Peer } from '../reactor/peer.js';

/** The peer of a connected socket. */
export function peerOf(fd: number): Peer {
  return peerAt(sockets.peerAddress(fd));
}

/** @param address null if it is not known. @internal for its unit test */
export function peerAt(address: PeerAddress | null): Peer {
  const base = { uid: null, device: null };
  switch (address?.kind) {
    case 'tcp': {
      const { kind, host, port } = address;
      return { ...base, kind, group: host, text: `${host}:${port}` };
    }
    case 'unix': {
      const { kind, pid, uid } = address;
      return { ...base, kind, uid, group: `uid ${uid}`, text: `pid ${pid} uid ${uid}` };
    }
    case 'vsock': {
      const { kind, cid, port } = address;
      return { ...base, kind, group: `cid ${cid}`, text: `vsock cid ${cid} port ${port}` };
    }
    case undefined:
      return { ...base, kind: 'unknown', group: 'unknown', text: 'unknown' };
  }
}

/** The client of `serve --stdio` if standard input and output are not one socket. */
export const STDIO_PEER: Peer = {
  kind: 'stdio',
  group: 'standard input',
  uid: null,
  device: null,
  text: 'standard input',
};
