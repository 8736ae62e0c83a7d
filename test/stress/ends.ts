// Ends of the program at every moment: failed starts, SIGTERM at any time after exec, SIGTERM under load. Each must
// have the right exit code, and leave no crash and no socket.
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Random } from '../fuzz/random.js';
import { writeLsmt } from '../support/lsmt-writer.js';
import { RawNbdClient } from '../support/nbd-client.js';
import { randomBytes } from '../support/pattern.js';
import { PipelinedReads } from '../support/pipelined-reads.js';
import { wrapTar } from '../support/tar-writer.js';
import type { StressOptions } from './options.js';
import { crashed, repeat, Run, wrong, type Tally, type Verdict } from './runs.js';

/** Longer than the program needs until it serves. */
const LATEST_TERM_MS = 300;
const DISK_SIZE = 4 << 20;
const CLIENTS = 3;

/** Command lines that end with an error message: exit code and message. */
function failures(folder: string): { args: string[]; code: number; says: RegExp }[] {
  const file = (name: string, bytes: Buffer | string): string => {
    const path = join(folder, name);
    writeFileSync(path, bytes);
    return path;
  };
  const disk = file('disk.img', Buffer.alloc(DISK_SIZE));
  const layer = writeLsmt({ virtualSize: 4096, segments: [] });
  // Its trailer is missing.
  const cut = layer.subarray(0, layer.length - 512);
  return [
    { args: [file('no-layer.tar', wrapTar(cut, { pax: false }))], code: 1, says: /no-layer\.tar/ },
    { args: [join(folder, 'not-there')], code: 1, says: /not-there/ },
    { args: [file('config.v1.json', '{')], code: 2, says: /config\.v1\.json/ },
    { args: [file('layer', cut)], code: 1, says: /layer/ },
    { args: [disk, '--listen', 'unix:///proc/nonexistent/socket'], code: 1, says: /cannot listen/ },
    { args: [disk, '--no-such-option'], code: 2, says: /unknown option --no-such-option/ },
    { args: [], code: 2, says: /nothing to serve/ },
  ];
}

export async function failingStarts({ count, atOnce, folder }: StressOptions): Promise<Tally> {
  const cases = failures(folder);
  return repeat(count, atOnce, async (number): Promise<Verdict> => {
    const { args, code, says } = cases[number % cases.length]!;
    const listen = args.includes('--listen') ? [] : ['--listen', `unix://${folder}/s${number}`];
    const state = ['--state', join(folder, `state${number}`)];
    const end = await new Run(['serve', ...args, ...listen, ...state]).ended;
    if (end.code !== code || crashed(end) || !says.test(end.stderr)) {
      return wrong(`serve ${args.join(' ')}`, end);
    }
    return { wrong: null, kind: `exit code ${code}` };
  });
}

export async function earlyTerms({ count, atOnce, seed, folder }: StressOptions): Promise<Tally> {
  const disk = join(folder, 'disk.img');
  writeFileSync(disk, Buffer.alloc(DISK_SIZE));
  return repeat(count, atOnce, async (number): Promise<Verdict> => {
    const after = new Random(seed, number).below(LATEST_TERM_MS);
    const run = startServing(folder, disk, number);
    await pause(after);
    run.child.kill('SIGTERM');
    const end = await run.ended;
    // Before the program's handler exists, the system's default action ends the process.
    const good = end.code === 0 || (end.code === null && end.signal === 'SIGTERM');
    if (!good || crashed(end)) return wrong(`SIGTERM after ${after} ms`, end);
    const left = leftBehind(folder, number);
    if (left) return wrong(`SIGTERM after ${after} ms left ${left}`, end);
    return { wrong: null, kind: end.code === 0 ? 'exit code 0' : 'SIGTERM' };
  });
}

export async function loadedEnds({ count, atOnce, seed, folder }: StressOptions): Promise<Tally> {
  const path = join(folder, 'disk.img');
  const disk = randomBytes(seed, DISK_SIZE);
  writeFileSync(path, disk);
  return repeat(count, atOnce, async (number): Promise<Verdict> => {
    const random = new Random(seed, number);
    const run = startServing(folder, path, number);
    const clients = await connectAll(join(folder, `s${number}`));
    if (!clients) return wrong('no client got in', await run.ended);
    const reads = clients.map((client) =>
      readUntilEnd(client, disk, random.pick([512, 4096, 65_536])),
    );
    await pause(random.below(150));
    run.child.kill('SIGTERM');
    const failed = (await Promise.all(reads)).find((each) => each !== null);
    const end = await run.ended;
    if (failed !== undefined) return wrong(`a client: ${failed}`, end);
    if (end.code !== 0 || crashed(end)) return wrong('SIGTERM under load', end);
    const left = leftBehind(folder, number);
    if (left) return wrong(`SIGTERM under load left ${left}`, end);
    return { wrong: null, kind: 'exit code 0' };
  });
}

function startServing(folder: string, disk: string, number: number): Run {
  const listen = `unix://${join(folder, `s${number}`)}`;
  return new Run(['serve', disk, '--listen', listen, '--state', join(folder, `state${number}`)]);
}

/** A socket that was not removed, under any of its names. */
function leftBehind(folder: string, number: number): string | null {
  const pattern = new RegExp(`^s${number}(\\.|$)`);
  return readdirSync(folder).find((name) => pattern.test(name)) ?? null;
}

/** null: the daemon has ended, or did not appear within half a minute. */
async function connectAll(socket: string): Promise<RawNbdClient[] | null> {
  for (const end = Date.now() + 30_000; Date.now() < end; await pause(5)) {
    try {
      return await Promise.all(
        Array.from({ length: CLIENTS }, () => RawNbdClient.open({ path: socket })),
      );
    } catch {
      continue;
    }
  }
  return null;
}

/** Reads until the server ends the connection. @returns what was wrong, or null */
async function readUntilEnd(
  client: RawNbdClient,
  disk: Buffer,
  length: number,
): Promise<string | null> {
  const reads = new PipelinedReads(client, disk);
  try {
    await reads.keepGoing(length, 256 << 10, () => false);
    return 'reading went on';
  } catch (error) {
    const how = await client.ended();
    client.destroy();
    const { message } = error as Error;
    // Between two replies, not within one.
    const isClean = how === 'end' && /^connection over .* 16 of 16 bytes$/.test(message);
    return isClean ? null : `${how}: ${message}`;
  }
}
