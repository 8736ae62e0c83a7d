// The first reactor thread may start long before the pool is made: the daemon must still become ready.
import { setTimeout as pause } from 'node:timers/promises';
import { test } from 'tap';
import { descriptors } from '../../../daemon/native/descriptors.js';
import { sockets } from '../../../daemon/native/socket.js';
import { startEarlyReactor } from '../../../daemon/reactor/early-reactor.js';
import type { ToReactor } from '../../../daemon/reactor/messages.js';
import { ReactorPool } from '../../../daemon/reactor/pool.js';
import { testPeer } from '../../support/test-peer.js';

await test('a thread that started before the pool serves connections', async (t) => {
  const answer = new Promise((resolve) => {
    process.once('worker', (worker) => {
      worker.once('message', resolve);
      worker.postMessage({ type: 'count', request: 0 } satisfies ToReactor);
    });
  });
  startEarlyReactor();
  await answer;
  const pool = new ReactorPool(1, null, { log: () => undefined });
  t.teardown(() => pool.terminate());
  await pool.started;
  const [ours, fd] = sockets.pair();
  t.teardown(() => descriptors.close(fd));
  pool.serve(ours, { peer: testPeer(), exports: null, closed: () => undefined });
  const greeting = Buffer.alloc(18);
  for (let i = 0; i < 12_000 && sockets.recv(fd, greeting, 0, 18) < 0; i++) await pause(10);
  t.equal(greeting.toString('latin1', 0, 16), 'NBDMAGICIHAVEOPT');
  await pool.drain();
});

await test('a thread that the pool starts serves connections', async (t) => {
  const pool = new ReactorPool(1, null, { log: () => undefined });
  t.teardown(() => pool.terminate());
  await pool.started;
  t.equal((await pool.count()).size, 0);
});
