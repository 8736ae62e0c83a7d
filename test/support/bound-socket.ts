// A listening Unix socket as others make it: at its path from the beginning, which the system shows.
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { Test } from 'tap';

/** @returns its descriptor, which is closed when the test is over */
export async function boundSocket(test: Test, path: string): Promise<number> {
  const server = createServer().listen(path);
  test.teardown(() => server.close());
  await once(server, 'listening');
  const { _handle: handle } = server as unknown as { _handle: { fd: number } };
  return handle.fd;
}
