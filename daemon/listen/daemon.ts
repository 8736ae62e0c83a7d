// The control plane: opens images, listens, hands connections to reactors, ends in order.

import type { ListenerSpec } from '../config/listener.js';
import type { TlsFiles } from '../config/tls-config.js';
import type { Logger } from '../log/logger.js';
import { DEFAULT_CONNECTIONS_PER_PEER, MAX_CONNECTIONS } from '../nbd/limits.js';
import { native } from '../native/binding.js';
import { OverlaybdError } from '../errors.js';
import { userId } from './accounts.js';
import { ClientLog } from '../reactor/client-log.js';
import { checkSpareDescriptors, explainDescriptors } from '../server/descriptor-limit.js';
import { ImageTable, type ExportSources, type HeldImage } from '../image/table.js';
import { Listener } from './listener.js';
import { inheritedSocket, openListening, type ListeningSocket } from './listening-socket.js';
import { PeerCounts, peerGroup } from './peers.js';
import { ReactorPool } from '../reactor/pool.js';
import type { ActivatedSocket } from './socket-activation.js';
import type { HandedConnection } from '../reactor/messages.js';
import type { TlsSettings } from '../reactor/tls-settings.js';

/** What to serve and where. */
export interface DaemonOptions {
  readonly exports: ExportSources;
  readonly listen: readonly ListenerSpec[];
  /** Sockets that the process was started with, and what they are for; the address does not count. */
  readonly activated: readonly { readonly socket: ActivatedSocket; readonly spec: ListenerSpec }[];
  /** Whether one image that cannot be opened keeps all from being served, and odd ones are refused. */
  readonly strict: boolean;
  /** Whether the daemon does not start without the export of that name. */
  readonly mustOpen: (name: string) => boolean;
  readonly threads: number;
  /** null: without TLS. */
  readonly tls: TlsFiles | null;
  /** Sockets of a predecessor that listen already, by {@link listenKey}. */
  readonly listening?: ReadonlyMap<string, readonly ListeningSocket[]>;
}

/** What can be read again while we serve. */
export type ServedOptions = Pick<DaemonOptions, 'exports' | 'tls'>;

/** What a predecessor's socket is found by: where it was told to listen. */
export function listenKey({ address }: ListenerSpec): string {
  return JSON.stringify(address);
}

/** A socket that a successor takes over. */
export interface PassedSocket {
  /** null: it came from the service manager, by `name`. */
  readonly key: string | null;
  readonly name: string;
  readonly socket: ListeningSocket;
}

/** Who may come in by a listener, and what they see. */
interface Admission {
  readonly exports: readonly string[] | null;
  readonly users: ReadonlySet<number> | null;
  readonly maxConnectionsPerPeer: number;
}

export class Daemon {
  readonly reactors: ReactorPool;
  readonly images: ImageTable;
  readonly #log: Logger;
  #tlsRequired: boolean;
  readonly #strict: boolean;
  readonly #listeners: Listener[] = [];
  readonly #passed: PassedSocket[] = [];
  readonly #peers = new PeerCounts();
  readonly #clientLog: ClientLog;

  private constructor({ threads, strict }: DaemonOptions, tls: TlsSettings | null, log: Logger) {
    this.#log = log;
    this.#strict = strict;
    this.#clientLog = new ClientLog(log);
    this.#tlsRequired = tls?.mode === 'require';
    this.reactors = new ReactorPool(threads, tls, log, this.#clientLog);
    this.images = new ImageTable(
      log,
      (exports, failed) => this.reactors.setExports(exports, failed),
      strict,
    );
  }

  /**
   * Opens everything and serves. Images that cannot be opened are tried again, others are served.
   * @throws OverlaybdError when a listener cannot be opened, or an image that must; nothing is left
   *   running
   */
  static async start(options: DaemonOptions, log: Logger): Promise<Daemon> {
    const daemon = new Daemon(options, await readTls(options.tls, log), log);
    try {
      await daemon.images.setExports(options.exports, options.mustOpen);
      await daemon.#listen(options);
      await daemon.reactors.started;
      checkSpareDescriptors();
    } catch (error) {
      await daemon.#release();
      throw explainDescriptors(error);
    }
    return daemon;
  }

  /** Where clients find the daemon: NBD URIs, with the names of sockets that were passed to it. */
  get listening(): string[] {
    const titles = this.#listeners.map((listener) => listener.title);
    return this.#tlsRequired ? titles.map((each) => each.replace(/^nbd(?=[:+])/, 'nbds')) : titles;
  }

  /** Serves a connected socket, of which it becomes the owner. @returns when the client is done */
  serveOne(fd: number, peer: string): Promise<void> {
    return new Promise((closed) => {
      this.reactors.adopt(fd, { peer, exports: null, closed: () => closed() });
    });
  }

  /** Open connections of clients. */
  get clients(): number {
    return this.#peers.total;
  }

  /** The sockets that listen, for a successor. They stay ours. */
  get passedSockets(): readonly PassedSocket[] {
    return this.#passed;
  }

  /**
   * Serves these exports, with what is in the files for TLS now, in place of those before. Connections
   * keep what they read from, and the TLS that they have. An export whose image cannot be opened is
   * failed, and tried again.
   * @throws OverlaybdError when a file for TLS cannot be used, or the daemon is strict and an image
   *   cannot; everything is as before then
   */
  async reload({ exports, tls }: ServedOptions): Promise<void> {
    const settings = await readTls(tls, this.#log);
    const before = await this.images.setExports(exports, () => this.#strict);
    this.reactors.setTls(settings);
    this.#tlsRequired = settings?.mode === 'require';
    const release = (held: HeldImage): void => this.images.release(held);
    void this.reactors.currentGone().then(() => before.forEach(release));
  }

  /** A client that a predecessor served goes on here. */
  adopt(fd: number, handed: Pick<HandedConnection, 'peer' | 'exports' | 'transmission'>): void {
    const { peer, exports, transmission } = handed;
    const group = peerGroup(peer);
    this.#peers.add(group);
    const closed = (): void => this.#peers.remove(group);
    this.reactors.adopt(fd, { peer, exports, resume: transmission, closed });
  }

  /** Takes no new connection; a successor does. Its sockets stay where they are. */
  stopListening(): void {
    for (const listener of this.#listeners.splice(0)) listener.abandon();
  }

  /** Takes no new connection, answers what has been asked, and ends. */
  async stop(): Promise<void> {
    for (const listener of this.#listeners.splice(0)) listener.close();
    this.images.stop();
    await this.reactors.drain();
    await this.#release();
  }

  async #listen({ activated, listen, listening }: DaemonOptions): Promise<void> {
    for (const { socket, spec } of activated) {
      const admission = admissionOf(spec);
      const inherited = inheritedSocket(socket.fd);
      if (spec.users && !inherited.isUnix) {
        const subject = `descriptor ${socket.fd} (${JSON.stringify(socket.name)})`;
        const message = `${subject}: ${inherited.uri} is no Unix socket: its users cannot be told`;
        throw new OverlaybdError('BAD_CONFIG', message);
      }
      this.#add(inherited, admission, `${inherited.uri} (socket ${JSON.stringify(socket.name)})`);
      this.#passed.push({ key: null, name: socket.name, socket: inherited });
    }
    for (const spec of listen) {
      const admission = admissionOf(spec);
      const key = listenKey(spec);
      for (const socket of listening?.get(key) ?? (await openListening(spec))) {
        this.#add(socket, admission, socket.uri);
        this.#passed.push({ key, name: socket.uri, socket });
      }
    }
  }

  #add(socket: ListeningSocket, admission: Admission, title: string): void {
    const listener = new Listener(
      socket,
      title,
      (fd, peer) => this.#accept(fd, peer, admission),
      (why) => this.#clientLog.acceptFailed(title, why),
    );
    this.#listeners.push(listener);
  }

  #accept(fd: number, peer: string, admission: Admission): void {
    const group = peerGroup(peer);
    if (this.#refuses(fd, peer, group, admission)) {
      native.close(fd);
      return;
    }
    this.#peers.add(group);
    const closed = (): void => this.#peers.remove(group);
    this.reactors.adopt(fd, { peer, exports: admission.exports, closed });
  }

  #refuses(fd: number, peer: string, group: string, admission: Admission): boolean {
    const { users, maxConnectionsPerPeer: most } = admission;
    if (users && !users.has(native.peerUid(fd))) {
      this.#clientLog.refused(`user ${group}`, peer, 'not a user who may connect here');
    } else if (this.reactors.connections >= MAX_CONNECTIONS) {
      this.#clientLog.refused('all', peer, `${MAX_CONNECTIONS} connections are open`);
    } else if (this.#peers.get(group) >= most) {
      this.#clientLog.refused(`peer ${group}`, peer, `${group} has ${most} connections open`);
    } else {
      return false;
    }
    return true;
  }

  async #release(): Promise<void> {
    for (const listener of this.#listeners.splice(0)) listener.close();
    await this.reactors.terminate();
    this.#clientLog.sweep(true);
    this.images.close();
  }
}

/** @throws OverlaybdError BAD_CONFIG when a file is missing, or is not what it must be */
async function readTls(files: TlsFiles | null, log: Logger): Promise<TlsSettings | null> {
  if (!files) return null;
  const { loadTls } = await import('./tls-files.js');
  const { notes, settings } = loadTls(files);
  for (const note of notes) log.log('warn', note);
  return settings;
}

/** @throws OverlaybdError NOT_FOUND when there is no such user */
function admissionOf(spec: ListenerSpec): Admission {
  return {
    exports: spec.exports,
    users: spec.users && new Set(spec.users.map(userId)),
    maxConnectionsPerPeer: spec.maxConnectionsPerPeer ?? DEFAULT_CONNECTIONS_PER_PEER,
  };
}
