// The new daemon's side of an upgrade: says that it is ready, and takes the connections.

import { MessageChannel } from '../ipc/message-channel.js';
import type { Logger } from '../log/logger.js';
import { descriptors } from '../native/descriptors.js';
import type { Clients } from '../listen/clients.js';
import type { DeviceManager } from '../devices/manager.js';
import type { ToPredecessor, ToSuccessor } from './handover.js';
import { peerOfOlder } from './older-peer.js';

/**
 * Tells the predecessor that we are ready, and takes what it offers.
 * @returns when all has come, or the predecessor is gone
 */
export function takeConnections(
  fd: number,
  clients: Clients,
  devices: DeviceManager | null,
  log: Logger,
): Promise<void> {
  return new Promise((done) => {
    let taken = 0;
    const channel: MessageChannel = new MessageChannel(fd, {
      message: (message, [socket]) => {
        const told = message as ToSuccessor;
        if (told.type === 'done') {
          devices?.takeCounters(told.counters ?? []);
          channel.close();
          return;
        }
        if (socket === undefined) throw new TypeError('a connection without its socket');
        taken++;
        const { exports } = told;
        const peer = told.from ?? peerOfOlder(told.peer, socket);
        const received = Buffer.from(told.transmission.received, 'base64');
        const transmission = { ...told.transmission, received };
        const { device } = peer;
        if (device === null) clients.take(socket, { peer, exports, resume: transmission });
        else if (devices) devices.take(device, socket, transmission);
        else descriptors.close(socket);
      },
      closed: (error) => {
        if (error) log.log('error', `upgrade: ${error.message}`);
        log.log('info', `upgrade: took over ${taken} connections`);
        done();
      },
    });
    channel.send({ type: 'ready' } satisfies ToPredecessor);
  });
}
