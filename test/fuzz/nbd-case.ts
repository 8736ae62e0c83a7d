// One case of the NBD fuzzer: one or several clients against connections of this process over socket
// pairs, then a well-behaved one.
//
// Invariants, each checked in every case:
// - No connection throws, no connection ends by a bug of the daemon, and no promise rejects unhandled.
// - The daemon's answers are as judge.ts says.
// - Memory is bounded as docs/limits.md says, in every turn of the loop: unsent reply bytes, their send buffers, memory
//   for long reads, and waiting requests. When all clients have disconnected, all of it is released.
// - A client that only shuts down its sending side gets answers to all earlier requests.
// - Broken protocol ends its own connection in bounded time, and no other. After NBD_CMD_DISC, or when a client
//   vanishes, the connection ends as well. When the daemon stops, accepted requests are answered, and a client that
//   reads sees the end.
// - No turn of the loop takes long: one client cannot delay the others.
// - The daemon reads an export only within its size, and only bytes that are available.
// - The next client reads the right bytes.
// The run as a whole (run.ts): descriptors are closed, and the process does not grow.
import { setImmediate as turn, setTimeout as pause } from 'node:timers/promises';
import { sockets } from '../../daemon/native/socket.js';
import { Connection } from '../../daemon/reactor/connection.js';
import { ExportMap } from '../../daemon/reactor/export-map.js';
import type { ConnectionSummary } from '../../daemon/reactor/messages.js';
import { ByteReader, Violation, must } from './byte-reader.js';
import { Client } from './client.js';
import { judge, type Verdict } from './judge.js';
import { ModelFailure, type ModelExport } from './model-export.js';
import { Random } from './random.js';
import { planScript, type Script } from './script.js';
import { healthyScript } from './healthy.js';
import { LARGE_LIMIT, type World } from './world.js';
import { testPeer } from '../support/test-peer.js';

const KIB = 1024;
/** Milliseconds of a case, on a machine with other work. */
const CASE_TIME = 20_000;
/** CPU milliseconds that one turn of the loop may take. */
const TURN_TIME = 1000;
/** Turns without progress before the judge checks whether everything is answered. */
const QUIET_TURNS = 8;
/** Unsent reply bytes in addition to a long read: the limit, a read that is served at once, short replies. */
const UNSENT = 256 * KIB + 256 * KIB + 96 * KIB;
const LONGEST_READ = 32 * KIB * KIB;
/** docs/limits.md: a slow client holds 512 KiB to 1 MiB. */
const BUFFERS_PER_CONNECTION = 2;
/** Requests of one connection that wait for bytes. */
const MAX_IN_FLIGHT = 128;

class Session {
  readonly client: Client;
  readonly connection: Connection;
  readonly exports: readonly ModelExport[];
  summary: ConnectionSummary | null = null;
  readonly #world: World;
  #drained = false;

  constructor(world: World, script: Script, exports: readonly ModelExport[], id: number) {
    const [ours, theirs] = sockets.pair();
    this.#world = world;
    this.exports = exports;
    this.client = new Client(theirs, script);
    this.connection = new Connection(id, ours, testPeer('fuzz'), {
      exports: new ExportMap(exports),
      sendBuffers: world.sendBuffers,
      largeMemory: world.largeMemory,
      deadlines: { handshakeMs: CASE_TIME, drainMs: CASE_TIME },
      offered: () => undefined,
      requestRefused: () => undefined,
      readFailed: (_connection, error) => {
        if (error instanceof ModelFailure) return;
        world.failures.push(`a read failed for its own reasons: ${String(error)}`);
      },
      closed: (_connection, summary) => {
        if (this.summary) world.failures.push('a connection closed twice');
        this.summary = summary;
      },
    });
  }

  get isOver(): boolean {
    return this.summary !== null && this.client.gone;
  }

  step(): void {
    const { client, connection } = this;
    client.step();
    const { kind, at } = client.script.leave;
    if (kind === 'drain' && !this.#drained && client.said >= at) {
      this.#drained = true;
      connection.drain();
    }
    const { unsent } = connection.outbox;
    must(unsent <= UNSENT + this.#world.largeMemory.inUse, () => `${unsent} bytes unsent`);
    if (client.gone) return;
    if (client.end !== 'open') client.leave();
    else if (client.isMute && client.quiet === QUIET_TURNS) this.#leaveIfAnswered();
  }

  #leaveIfAnswered(): void {
    const { complete, over, ambiguous } = this.#judge(() => undefined);
    if (over === 'no' && !this.#drained && (complete || ambiguous)) this.client.leave();
  }

  #judge(count: (what: string) => void): Verdict {
    const { client, exports } = this;
    const said = new ByteReader(client.script.bytes.subarray(0, client.said));
    return judge({ said, heard: new ByteReader(client.heard), exports, count });
  }

  /** The final check, when the connection has ended. */
  settle(): Verdict {
    const world = this.#world;
    const verdict = this.#judge((what) => world.count(what));
    const { script, end } = this.client;
    const { complete, over, ambiguous } = verdict;
    const { reason, requests } = this.summary as ConnectionSummary;
    must(!reason.startsWith('BUG'), reason);
    world.count(`end: ${reasonOf(reason)}`);
    const { kind } = script.leave;
    if (kind === 'gone' || ambiguous) return verdict;
    if (kind === 'drain') {
      // NBD_CMD_DISC may have been counted as well.
      const missing = requests - verdict.answered;
      const all = over === 'broken' || missing === 0 || (over === 'goodbye' && missing === 1);
      must(all || end === 'open', `${verdict.answered} of ${requests} answered when it stopped`);
    } else if (over === 'goodbye') {
      must(complete, `${verdict.answered} of ${verdict.requests} answered after the goodbye`);
      must(end !== 'open', 'no end after the goodbye');
    } else if (over === 'no' && script.mutations.length === 0) {
      must(complete, `${verdict.answered} of ${verdict.requests} answered, then ${reason}`);
    }
    return verdict;
  }
}

function reasonOf(reason: string): string {
  return reason.replace(/(named) .*/, '$1 ...').replaceAll(/\b(0x[0-9a-f]+|\d+)\b/g, 'N');
}

/** Plays a case. @throws Violation, or any other error that must not be thrown */
export async function playNbdCase(world: World, seed: number, number: number): Promise<Script[]> {
  const random = new Random(seed, number);
  world.startCase(new Random(seed, -2 - number));
  const exports = random.percent(20) ? world.exports.slice(0, 1) : world.exports;
  const many = random.weighted([8, 1], [1, 2], [1, 4]);
  const scripts = Array.from({ length: many }, (_, i) =>
    planScript(random, exports, i === 0 ? number : Infinity),
  );
  for (const { kinds, mutations, leave } of scripts) {
    for (const kind of kinds) world.count(`sent ${kind}`);
    for (const mutation of mutations) world.count(`mutation ${mutation}`);
    if (mutations.length === 0) world.count('mutation none');
    world.count(`leave ${leave.kind}`);
  }
  await play(world, scripts, exports);
  const [verdict] = await play(world, [healthyScript(random, number)], world.exports);
  must(verdict?.complete === true, 'the next client has not been answered');
  return scripts;
}

async function play(
  world: World,
  scripts: readonly Script[],
  exports: readonly ModelExport[],
): Promise<Verdict[]> {
  const sessions = scripts.map((script, id) => new Session(world, script, exports, id));
  try {
    for (const { connection } of sessions) connection.start();
    await run(world, sessions);
    return sessions.map((session) => session.settle());
  } finally {
    for (const { client, connection } of sessions) {
      client.leave();
      connection.close('the case is over');
    }
  }
}

async function run(world: World, sessions: readonly Session[]): Promise<void> {
  const begin = performance.now();
  const over = (): boolean =>
    sessions.every((session) => session.isOver) &&
    world.sendBuffers.inUse === 0 &&
    world.waiting === 0 &&
    world.largeMemory.inUse === 0;
  for (let turns = 0; !over(); turns++) {
    const before = process.cpuUsage();
    await turn();
    const { user, system } = process.cpuUsage(before);
    const time = (user + system) / 1000;
    must(time < TURN_TIME, () => `a turn of the loop took ${time.toFixed(0)} ms`);
    for (const session of sessions) if (!session.isOver) session.step();
    check(world, sessions);
    const isStuck = performance.now() - begin > CASE_TIME;
    if (isStuck) throw new Violation(`stuck: ${stateOf(world, sessions)}`);
    // Waits for timers of the daemon, if nothing else can make progress.
    if (turns > 20_000) await pause(1);
  }
}

function check(world: World, sessions: readonly Session[]): void {
  const { sendBuffers, largeMemory, exports, failures, waiting } = world;
  const open = sessions.filter(({ summary }) => summary === null).length;
  must(
    sendBuffers.inUse <= BUFFERS_PER_CONNECTION * open,
    () => `${sendBuffers.inUse} send buffers of ${open}`,
  );
  must(
    largeMemory.inUse <= Math.max(LARGE_LIMIT, LONGEST_READ + 16),
    () => `${largeMemory.inUse} bytes for long reads`,
  );
  // The requests of a client that has disconnected end as well.
  const most = MAX_IN_FLIGHT * sessions.length;
  must(waiting <= most, () => `${waiting} requests are waiting`);
  for (const { violations } of exports) {
    must(violations.length === 0, () => violations.splice(0, Infinity).join('; '));
  }
  must(failures.length === 0, () => failures.splice(0, Infinity).join('; '));
}

function stateOf({ sendBuffers, largeMemory }: World, sessions: readonly Session[]): string {
  const each = sessions.map(({ client, connection, summary }) => {
    const heard = client.heard.length;
    const said = `${client.said} of ${client.script.bytes.length} said, ${heard} heard`;
    return `${said}, ${connection.outbox.unsent} unsent, ${summary?.reason ?? 'open'}`;
  });
  return `${each.join('; ')}; ${sendBuffers.inUse} send buffers, ${largeMemory.inUse} bytes for long reads`;
}
