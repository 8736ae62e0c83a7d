// The pool of reactor threads when one of them dies; its ordinary life is in test/e2e.
import { setTimeout as pause } from 'node:timers/promises';
import t from 'tap';
import { descriptors } from '../../../daemon/native/descriptors.js';
import { sockets } from '../../../daemon/native/socket.js';
import { ReactorPool } from '../../../daemon/reactor/pool.js';
import { testPeer } from '../../support/test-peer.js';

const EAGAIN = 11;

/** Takes what is there until the other side is gone. @returns bytes, or null when it stays */
async function untilEnd(fd: number): Promise<number | null> {
  let total = 0;
  const buffer = Buffer.alloc(1000);
  for (let i = 0; i < 1000; i++) {
    const n = sockets.recv(fd, buffer, 0, buffer.length);
    if (n === -EAGAIN) await pause(10);
    else if (n > 0) total += n;
    else return total;
  }
  return null;
}

await t.test('its clients are cut off, not left hanging, and new ones are served', async (test) => {
  const lines: string[] = [];
  const pool = new ReactorPool(1, null, { log: (_level, message) => lines.push(message) });
  const [ours, fd] = sockets.pair();
  test.teardown(() => descriptors.close(fd));
  pool.serve(ours, { peer: testPeer('first'), exports: null, closed: () => undefined });
  while (sockets.recv(fd, Buffer.alloc(18), 0, 18) < 0) await pause(10);
  test.equal(pool.connections, 1);

  // No control plane would send such a thing; what matters is that the thread does not survive it.
  const poison = [{ name: '', description: '', device: { kind: 'none' } }];
  pool.setExports(poison as never);
  test.equal(await untilEnd(fd), 0, 'the end');
  test.equal(pool.connections, 0);
  test.ok(lines.some((line) => line.startsWith('reactor thread died: ')));

  pool.setExports([]);
  const [next, other] = sockets.pair();
  test.teardown(() => descriptors.close(other));
  pool.serve(next, { peer: testPeer('second'), exports: null, closed: () => undefined });
  while (sockets.recv(other, Buffer.alloc(18), 0, 18) < 0) await pause(10);
  test.pass('greeted by another thread');
  await pool.drain();
  test.equal(await untilEnd(other), 0, 'a clean end');
  await pool.terminate();
});
