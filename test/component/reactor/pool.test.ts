// The pool of reactor threads: when one of them dies, and which connections read from an export. Normal operation is
// tested in test/e2e.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import t from 'tap';
import { descriptors } from '../../../daemon/native/descriptors.js';
import { sockets } from '../../../daemon/native/socket.js';
import { ReactorPool } from '../../../daemon/reactor/pool.js';
import { openDevice } from '../../support/in-process.js';
import { testPeer } from '../../support/test-peer.js';

const EAGAIN = 11;

/** Receives until the peer closes. @returns bytes, or null if the connection stays open */
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

await t.test('when a reactor thread dies, its clients are disconnected', async (test) => {
  const lines: string[] = [];
  const pool = new ReactorPool(1, null, { log: (_level, message) => lines.push(message) });
  const [ours, fd] = sockets.pair();
  test.teardown(() => descriptors.close(fd));
  pool.serve(ours, { peer: testPeer('first'), exports: null, closed: () => undefined });
  while (sockets.recv(fd, Buffer.alloc(18), 0, 18) < 0) await pause(10);
  test.equal(pool.connections, 1);

  // The control plane never sends such a message; it only has to kill the thread.
  const poison = [{ name: '', description: '', device: { kind: 'none' } }];
  pool.setExports(poison as never);
  test.equal(await untilEnd(fd), 0, 'the stream ends');
  test.equal(pool.connections, 0);
  test.ok(lines.some((line) => line.startsWith('reactor thread died: ')));

  pool.setExports([]);
  const [next, other] = sockets.pair();
  test.teardown(() => descriptors.close(other));
  pool.serve(next, { peer: testPeer('second'), exports: null, closed: () => undefined });
  while (sockets.recv(other, Buffer.alloc(18), 0, 18) < 0) await pause(10);
  test.pass('another thread sends the greeting');
  await pool.drain();
  test.equal(await untilEnd(other), 0, 'the end is clean');
  await pool.terminate();
});

await t.test(
  'connections by export: those that have ended do not wait for others',
  async (test) => {
    const path = join(test.testdir(), 'disk.img');
    writeFileSync(path, Buffer.alloc(4096, 1));
    const opened = await openDevice(path);
    test.teardown(() => opened.close());
    const pool = new ReactorPool(2, null, { log: () => undefined });
    const { disk } = opened.image;
    pool.setExports(
      ['x', 'y'].map((name) => ({ name, description: '', disk, key: 'image', hidden: false })),
    );
    test.same(await pool.readers(), new Map());
    const resume = { form: 'simple', contexts: [], skip: 0, received: new Uint8Array(0) } as const;
    const connect = (name: string | null): { id: number; client: number } => {
      const [ours, client] = sockets.pair();
      const of = name === null ? {} : { resume: { ...resume, export: name } };
      const info = { peer: testPeer(name ?? ''), exports: null, closed: () => undefined, ...of };
      return { id: pool.serve(ours, info), client };
    };
    const [x, y, greeted] = [connect('x'), connect('y'), connect(null)];
    test.same(Object.fromEntries(await pool.readers()), { x: [x.id], y: [y.id] });
    const ended = pool.ended([x.id]);
    descriptors.close(x.client);
    await ended;
    test.same(Object.fromEntries(await pool.readers()), { y: [y.id] });
    await pool.ended([x.id]);
    test.equal(pool.connections, 2, 'the others go on');
    for (const { client } of [y, greeted]) descriptors.close(client);
    await pool.ended([y.id, greeted.id]);
    await pool.terminate();
  },
);
