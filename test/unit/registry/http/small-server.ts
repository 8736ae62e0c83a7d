// A server of HTTP with one listener, for a test.
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Test } from 'tap';

/** @returns "127.0.0.1:PORT" */
export async function startServer(t: Test, listener: RequestListener): Promise<string> {
  const server = createServer({ maxHeaderSize: 1 << 20 }, listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}
