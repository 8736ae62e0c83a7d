// A service manager that only listens: what a daemon sends to its NOTIFY_SOCKET.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Test } from 'tap';
import { requireTool } from './tools.js';
import { until } from './until.js';

/** Node.js has no Unix datagram sockets. */
const LISTENER = `
import json, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
name = sys.argv[1]
s.bind('\\0' + name[1:] if name[0] == '@' else name)
print('"listening"', flush=True)
while True:
    print(json.dumps(s.recv(65536).decode()), flush=True)
`;

export interface HeardManager {
  /** The datagrams so far. */
  readonly received: readonly string[];
  /** Nothing listens any more. */
  end(): void;
}

/**
 * @param name of the socket: a path, or an abstract name that begins with @
 * @returns null if there is no python3; the test is told
 */
export async function listenAsManager(test: Test, name: string): Promise<HeardManager | null> {
  if (!requireTool(test, 'python3')) return null;
  const child = spawn('python3', ['-c', LISTENER, name], { stdio: ['ignore', 'pipe', 'inherit'] });
  test.teardown(() => child.kill('SIGKILL'));
  const lines: string[] = [];
  createInterface(child.stdout).on('line', (line) => lines.push(JSON.parse(line) as string));
  await until(() => lines.length > 0);
  lines.shift();
  return { received: lines, end: () => void child.kill('SIGKILL') };
}
