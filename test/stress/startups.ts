// Starts that a client waits for: a client that connects as soon as the socket's file exists gets in, and of two
// daemons at one path one serves and the other reports it.
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { descriptors } from '../../daemon/native/descriptors.js';
import { sockets } from '../../daemon/native/socket.js';
import { RawNbdClient } from '../support/nbd-client.js';
import type { StressOptions } from './options.js';
import { crashed, repeat, Run, wrong, type Tally, type Verdict } from './runs.js';

const WAIT_MS = 20_000;

/** NBD, control and helper sockets, in turn. */
export async function quickClients({ count, atOnce, folder }: StressOptions): Promise<Tally> {
  const disk = join(folder, 'disk.img');
  writeFileSync(disk, Buffer.alloc(1 << 20));
  return repeat(count, atOnce, async (number): Promise<Verdict> => {
    const socket = join(folder, `s${number}`);
    const state = join(folder, `state${number}`);
    const serve = ['serve', disk, '--listen', `unix://${socket}`, '--state', state];
    const [kind, args, path] = [
      ['NBD', serve, socket],
      ['control', serve, join(state, 'control.sock')],
      ['helper', ['attach-helper', '--socket', socket], socket],
    ][number % 3] as [string, string[], string];
    // Every second run finds the stale socket of a dead daemon.
    if (number % 2 === 0 && kind !== 'control') descriptors.close(sockets.listenUnix(path, 1));
    const run = new Run(args);
    const connected = await connectAtOnce(path);
    run.child.kill('SIGTERM');
    const end = await run.ended;
    if (connected !== 'connected') return wrong(`${kind}: ${connected}`, end);
    if (end.code !== 0 || crashed(end)) return wrong(kind, end);
    return { wrong: null, kind: `${kind} clients got in` };
  });
}

export async function twoDaemons({ count, folder }: StressOptions): Promise<Tally> {
  const disk = join(folder, 'disk.img');
  writeFileSync(disk, Buffer.alloc(1 << 20));
  return repeat(count, 1, async (number): Promise<Verdict> => {
    const socket = join(folder, `s${number}`);
    if (number % 2 === 0) descriptors.close(sockets.listenUnix(socket, 1));
    const serve = ['serve', disk, '--listen', `unix://${socket}`, '--state'];
    const runs = ['a', 'b'].map(
      (each) => new Run([...serve, join(folder, `state${number}${each}`)]),
    );
    const loser = await Promise.race(runs.map(({ ended }) => ended));
    const said = /another process listens/.test(loser.stderr) && loser.code === 1;
    let served = 'nobody';
    try {
      const client = await RawNbdClient.open({ path: socket });
      await client.read(0, 512);
      await client.disconnect();
      served = 'a client';
    } catch (error) {
      served = (error as Error).message;
    }
    for (const { child } of runs) child.kill('SIGTERM');
    const ends = await Promise.all(runs.map(({ ended }) => ended));
    const left = readdirSync(folder).filter((name) => name.startsWith(`s${number}`));
    if (!said || served !== 'a client' || left.length > 0 || ends.some(crashed)) {
      return wrong(`two daemons: ${served} is served, left: ${left.join(' ')}`, loser);
    }
    return { wrong: null, kind: 'one serves, the other says so' };
  });
}

/** Busy-waits until the file exists: no client can be quicker. */
async function connectAtOnce(path: string): Promise<string> {
  const end = Date.now() + WAIT_MS;
  const isStale = sockets.probeUnix(path) < 0 && existsSync(path);
  for (let turn = 1; Date.now() < end; turn++) {
    const fd = sockets.connectUnix(path);
    if (fd >= 0) {
      descriptors.close(fd);
      return 'connected';
    }
    // The stale socket of a dead daemon refuses connections until it is replaced.
    if (existsSync(path) && !isStale) {
      const errno = sockets.connectUnix(path);
      if (errno >= 0) descriptors.close(errno);
      return errno >= 0 ? 'connected' : `refused with errno ${-errno}`;
    }
    // The child's output and end arrive through the event loop.
    if (turn % 64 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  return 'nothing to connect to';
}
