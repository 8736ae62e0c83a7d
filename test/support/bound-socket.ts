// A listening Unix socket that was bound directly to its path, as other programs make it; the kernel shows that path.
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { Test } from 'tap';

/** @returns its descriptor, which is closed at the end of the test */
export async function boundSocket(test: Test, path: string): Promise<number> {
  const server = createServer().listen(path);
  test.teardown(() => server.close());
  await once(server, 'listening');
  const { _handle: handle } = server as unknown as { _handle: { fd: number } };
  return handle.fd;
}
