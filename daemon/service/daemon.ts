// The control plane: opens images, listens, hands connections to reactors, ends in order.

import type { ListenerSpec } from '../config/listener.js';
import type { TlsFiles } from '../config/tls-config.js';
import type { Logger } from '../log/logger.js';
import { ReaderFactory } from '../image/build.js';
import { DEFAULT_CONNECTIONS_PER_PEER, MAX_CONNECTIONS } from '../nbd/limits.js';
import { native } from '../native/binding.js';
import { OverlaybdError } from '../errors.js';
import { userId } from './accounts.js';
import { BlobPool } from './blob-pool.js';
import { openImage, type OpenImage } from './image-opener.js';
import { planImage } from './image-plan.js';
import { Listener } from './listener.js';
import { inheritedSocket, openListening, type ListeningSocket } from './listening-socket.js';
import { PeerCounts, RefusalLog, peerGroup } from './peers.js';
import { ReactorPool } from './reactor-pool.js';
import type { ActivatedSocket } from './socket-activation.js';
import type { TlsSettings } from '../reactor/tls-settings.js';
import { loadTls } from './tls-files.js';

/** What to serve and where. */
export interface DaemonOptions {
  /** Export name to the paths that make its image: a config, or blobs bottom first. */
  readonly exports: ReadonlyMap<string, readonly string[]>;
  readonly listen: readonly ListenerSpec[];
  /** Sockets that the process was started with, and what they are for; the address does not count. */
  readonly activated: readonly { readonly socket: ActivatedSocket; readonly spec: ListenerSpec }[];
  readonly threads: number;
  /** null: without TLS. */
  readonly tls: TlsFiles | null;
}

/** Who may come in by a listener, and what they see. */
interface Admission {
  readonly exports: readonly string[] | null;
  readonly users: ReadonlySet<number> | null;
  readonly maxConnectionsPerPeer: number;
}

export class Daemon {
  readonly #log: Logger;
  readonly #reactors: ReactorPool;
  readonly #tlsRequired: boolean;
  readonly #images: OpenImage[] = [];
  readonly #listeners: Listener[] = [];
  readonly #peers = new PeerCounts();
  readonly #refusals: RefusalLog;

  private constructor(threads: number, tls: TlsSettings | null, log: Logger) {
    this.#log = log;
    this.#refusals = new RefusalLog(log);
    this.#tlsRequired = tls?.mode === 'require';
    this.#reactors = new ReactorPool(threads, tls, log);
  }

  /**
   * Opens everything and serves.
   * @throws OverlaybdError when an image or a listener cannot be opened; nothing is left running
   */
  static async start(options: DaemonOptions, log: Logger): Promise<Daemon> {
    const tls = options.tls && loadTls(options.tls);
    for (const note of tls?.notes ?? []) log.log('warn', note);
    const daemon = new Daemon(options.threads, tls?.settings ?? null, log);
    try {
      await daemon.#openImages(options.exports);
      await daemon.#listen(options);
      await daemon.#reactors.started;
    } catch (error) {
      await daemon.#release();
      throw error;
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
      this.#reactors.adopt(fd, { peer, exports: null, closed });
    });
  }

  /** Takes no new connection, answers what has been asked, and ends. */
  async stop(): Promise<void> {
    for (const listener of this.#listeners.splice(0)) listener.close();
    await this.#reactors.drain();
    await this.#release();
  }

  async #openImages(exports: DaemonOptions['exports']): Promise<void> {
    const pool = new BlobPool(new ReaderFactory());
    const specs = [];
    for (const [name, paths] of exports) {
      const plan = planImage(paths);
      for (const note of plan.notes) this.#log.log('warn', note);
      const image = await openImage(plan, pool);
      this.#images.push(image);
      specs.push({ name, description: image.description, device: image.device });
      this.#log.log(
        'info',
        `export ${JSON.stringify(name)}: ${image.name}: ${image.description}, ${image.size} bytes`,
        { export: name, image: image.name, size: image.size },
      );
    }
    this.#reactors.setExports(specs);
  }

  async #listen({ activated, listen }: DaemonOptions): Promise<void> {
    for (const { socket, spec } of activated) {
      const admission = admissionOf(spec);
      const inherited = inheritedSocket(socket.fd);
      if (spec.users && !inherited.isUnix) {
        const subject = `descriptor ${socket.fd} (${JSON.stringify(socket.name)})`;
        const message = `${subject}: ${inherited.uri} is no Unix socket: its users cannot be told`;
        throw new OverlaybdError('BAD_CONFIG', message);
      }
      this.#add(inherited, admission, `${inherited.uri} (socket ${JSON.stringify(socket.name)})`);
    }
    for (const spec of listen) {
      const admission = admissionOf(spec);
      for (const socket of await openListening(spec)) this.#add(socket, admission, socket.uri);
    }
  }

  #add(socket: ListeningSocket, admission: Admission, title: string): void {
    const listener = new Listener(
      socket,
      title,
      (fd, peer) => this.#accept(fd, peer, admission),
      (message) => this.#log.log('error', message),
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
    this.#reactors.adopt(fd, { peer, exports: admission.exports, closed });
  }

  #refuses(fd: number, peer: string, group: string, admission: Admission): boolean {
    const { users, maxConnectionsPerPeer: most } = admission;
    if (users && !users.has(native.peerUid(fd))) {
      this.#refusals.refused(`user ${group}`, peer, 'not a user who may connect here');
    } else if (this.#reactors.connections >= MAX_CONNECTIONS) {
      this.#refusals.refused('all', peer, `${MAX_CONNECTIONS} connections are open`);
    } else if (this.#peers.get(group) >= most) {
      this.#refusals.refused(`peer ${group}`, peer, `${group} has ${most} connections open`);
    } else {
      return false;
    }
    return true;
  }

  async #release(): Promise<void> {
    for (const listener of this.#listeners.splice(0)) listener.close();
    await this.#reactors.terminate();
    for (const image of this.#images.splice(0)) image.close();
  }
}

/** @throws OverlaybdError NOT_FOUND when there is no such user */
function admissionOf(spec: ListenerSpec): Admission {
  return {
    exports: spec.exports,
    users: spec.users && new Set(spec.users.map(userId)),
    maxConnectionsPerPeer: spec.maxConnectionsPerPeer ?? DEFAULT_CONNECTIONS_PER_PEER,
  };
}
