// Servers of other people as processes of a test: started, waited for, ended with the test.
import { spawn, type ChildProcess } from 'node:child_process';
import { connect, createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import type { Test } from 'tap';
import { findTool } from '../tools.js';

const READY_TIMEOUT = 30_000;

export interface ServerProcess {
  readonly child: ChildProcess;
  /** What it has printed. */
  output(): string;
  /** Ends it, and resolves when it has ended. */
  stop(): Promise<void>;
}

/**
 * Starts a server, which must not make itself a daemon.
 * @param isReady is asked after each output, and every 20 ms
 * @throws Error if it ends before it is ready, with what it printed
 */
export async function startServer(
  t: Test,
  name: string,
  args: readonly string[],
  isReady: (output: string) => boolean | Promise<boolean>,
): Promise<ServerProcess> {
  const child = spawn(findTool(name) ?? name, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  let ended = false;
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (part: Buffer) => {
      output += part.toString();
    });
  }
  child.once('error', (error) => {
    output += String(error);
  });
  child.once('close', () => {
    ended = true;
  });
  const stop = async (): Promise<void> => {
    if (ended) return;
    const closed = once(child, 'close');
    child.kill('SIGTERM');
    await closed;
  };
  t.teardown(stop);
  for (const late = performance.now() + READY_TIMEOUT; !(await isReady(output));) {
    if (ended) throw new Error(`${name} has ended:\n${output}`);
    if (performance.now() > late) throw new Error(`${name} is not ready:\n${output}`);
    await new Promise((resolve) => {
      setTimeout(resolve, 20);
    });
  }
  return { child, output: () => output, stop };
}

/** A port of 127.0.0.1 that was free a moment ago, for servers that cannot choose one themselves. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Whether something listens at the port. */
export async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
