// The new daemon's side of an upgrade: reports that it is ready, and receives the connections.

import { MessageChannel } from '../ipc/message-channel.js';
import { counted } from '../lib/counted.js';
import type { Logger } from '../log/logger.js';
import { descriptors } from '../native/descriptors.js';
import type { Clients } from '../listen/clients.js';
import type { DeviceManager } from '../devices/manager.js';
import { predecessorWaitsNoMore, type ToPredecessor } from './failure.js';
import type { ToSuccessor } from './handover.js';
import { peerOfOlder } from './older-peer.js';

/**
 * Reports to the predecessor that we are ready, and receives its connections.
 * @returns when all connections have arrived, or the predecessor has ended
 */
export function takeConnections(
  fd: number,
  clients: Pick<Clients, 'take'>,
  devices: Pick<DeviceManager, 'take' | 'takeCounters'> | null,
  log: Logger,
): Promise<void> {
  predecessorWaitsNoMore();
  return new Promise((done) => {
    let taken = 0;
    const channel: MessageChannel = new MessageChannel(fd, {
      message: (message, [socket]) => {
        const fromOld = message as ToSuccessor;
        if (fromOld.type === 'done') {
          devices?.takeCounters(fromOld.counters ?? []);
          channel.close();
          return;
        }
        if (socket === undefined) throw new TypeError('a connection without its socket');
        taken++;
        const { exports } = fromOld;
        const peer = fromOld.from ?? peerOfOlder(fromOld.peer, socket);
        const received = Buffer.from(fromOld.transmission.received, 'base64');
        const transmission = { ...fromOld.transmission, received };
        const { device } = peer;
        if (device === null) clients.take(socket, { peer, exports, resume: transmission });
        else if (devices) devices.take(device, socket, transmission);
        else descriptors.close(socket);
      },
      closed: (error) => {
        if (error) log.log('error', `upgrade: ${error.message}`);
        log.log('info', `upgrade: took over ${counted(taken, 'connection')}`);
        done();
      },
    });
    channel.send({ type: 'ready' } satisfies ToPredecessor);
  });
}
