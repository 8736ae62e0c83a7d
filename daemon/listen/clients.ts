// The clients of a daemon: its listening sockets, the admission of clients, and the number of connections of
// each. Passes the connections to the reactors.

import { addressText } from '../config/listen-address.js';
import type { ListenerSpec } from '../config/listener.js';
import { OverlaybdError } from '../errors.js';
import { descriptors } from '../native/descriptors.js';
import type { ClientLog } from '../reactor/client-log.js';
import type { Peer } from '../reactor/peer.js';
import type { ReactorPool } from '../reactor/pool.js';
import type { ConnectionInfo } from '../reactor/reactor-thread.js';
import { userId } from './accounts.js';
import { admissionOf, refusalOf, type Admission } from './admission.js';
import { Listener } from './listener.js';
import {
  checkListening,
  openListening,
  TAKEN,
  takeListening,
  type ListeningSocket,
} from './listening-socket.js';
import { PeerCounts } from './peer-counts.js';
import type { ActivatedSocket } from './socket-activation.js';

/** Where to listen. */
export interface ListenOptions {
  readonly listen: readonly ListenerSpec[];
  /** Sockets that were passed to the process, with their admission; their `address` is not used. */
  readonly activated: readonly { readonly socket: ActivatedSocket; readonly spec: ListenerSpec }[];
  /** Listening sockets of a predecessor, by {@link listenKey}. */
  readonly listening?: ReadonlyMap<string, readonly ListeningSocket[]>;
}

/** The key by which a successor finds the socket of an address. */
function listenKey({ address }: ListenerSpec): string {
  return JSON.stringify(address);
}

/** Whether only one socket can listen at both: they are equal, or one is every address of the other's port. */
function areSamePlace(a: string, b: string): boolean {
  const [, hostOfA, portOfA] = TCP_URI.exec(a) ?? [];
  const [, hostOfB, portOfB] = TCP_URI.exec(b) ?? [];
  const isEverywhere = [hostOfA, hostOfB].some((host) => host === '0.0.0.0' || host === '[::]');
  return a === b || (hostOfA !== undefined && portOfA === portOfB && isEverywhere);
}

const TCP_URI = /^nbd:\/\/(\[[^\]]*\]|[^:]*)(.*)$/;

/** A socket that listens, offered to a successor. */
export interface OfferedSocket {
  /** null if the service manager passed the socket, by `name`. */
  readonly key: string | null;
  readonly name: string;
  readonly socket: ListeningSocket;
}

export class Clients {
  readonly #reactors: ReactorPool;
  readonly #log: ClientLog;
  readonly #listeners: Listener[] = [];
  readonly #offered: OfferedSocket[] = [];
  /** Where it listens, and the address for which it does. */
  readonly #places: { readonly uri: string; readonly address: string }[] = [];
  readonly #peers = new PeerCounts();
  #isClosed = false;

  constructor(reactors: ReactorPool, log: ClientLog) {
    this.#reactors = reactors;
    this.#log = log;
  }

  /**
   * Checks what can be checked before images are opened, which may take minutes.
   * @throws OverlaybdError NOT_FOUND for a user or group that does not exist, BAD_CONFIG, SOCKET
   */
  check({ activated, listen, listening = new Map() }: ListenOptions): void {
    for (const { spec } of activated) admissionOf(spec, userId);
    for (const spec of listen) {
      admissionOf(spec, userId);
      if (!listening.has(listenKey(spec))) checkListening(spec);
    }
  }

  /**
   * Opens the listeners. After `close`, it closes each at once.
   * @throws OverlaybdError if a listener cannot be opened; `close` closes those that are open
   */
  async listen({ activated, listen, listening = new Map() }: ListenOptions): Promise<void> {
    for (const { socket, spec } of activated) {
      const admission = admissionOf(spec, userId);
      const taken = takeListening(socket.fd);
      if (spec.users && !taken.isUnix) {
        const subject = `descriptor ${socket.fd} (${JSON.stringify(socket.name)})`;
        const message = `${subject}: ${taken.uri} is not a Unix socket, so connecting users cannot be identified`;
        throw new OverlaybdError('BAD_CONFIG', message);
      }
      this.#add(taken, admission, `${taken.uri} (socket ${JSON.stringify(socket.name)})`);
      this.#offered.push({ key: null, name: socket.name, socket: taken });
    }
    const left = new Map(listening);
    const listensAt = (uri: string): string | undefined =>
      this.#places.find((place) => areSamePlace(place.uri, uri))?.address;
    for (const spec of listen) {
      const admission = admissionOf(spec, userId);
      const key = listenKey(spec);
      // Of two listeners whose ports the system chose, the first one takes the sockets of both.
      const sockets = left.get(key) ?? (await openListening(spec, listensAt).catch(advise));
      if (left.has(key)) left.set(key, []);
      for (const socket of sockets) {
        this.#add(socket, admission, socket.uri);
        this.#offered.push({ key, name: socket.uri, socket });
        this.#places.push({ uri: socket.uri, address: addressText(spec.address) });
      }
    }
  }

  /** The NBD URIs of the daemon, with the names of passed sockets. */
  get titles(): string[] {
    return this.#listeners.map((listener) => listener.title);
  }

  /** Open connections of clients. */
  get count(): number {
    return this.#peers.total;
  }

  /** The listening sockets, for a successor. The caller must not close them. */
  get offeredSockets(): readonly OfferedSocket[] {
    return this.#offered;
  }

  /** Serves a connected socket, of which it becomes the owner. @returns when the client is done */
  serveOne(fd: number, peer: Peer): Promise<void> {
    return new Promise((closed) => {
      this.#reactors.serve(fd, { peer, exports: null, closed: () => closed() });
    });
  }

  /** Continues to serve a client of the predecessor. */
  take(fd: number, client: Omit<ConnectionInfo, 'closed'>): void {
    this.#serve(fd, client);
  }

  /** Accepts no new connection, because the successor does. Leaves the paths of the sockets in place. */
  leave(): void {
    for (const listener of this.#listeners.splice(0)) listener.leave();
  }

  /** Accepts no new connection. Idempotent. */
  close(): void {
    this.#isClosed = true;
    for (const listener of this.#listeners.splice(0)) listener.close();
  }

  #add(socket: ListeningSocket, admission: Admission, title: string): void {
    const listener = new Listener(
      socket,
      title,
      (fd, peer) => this.#accept(fd, peer, admission),
      (why) => this.#log.acceptFailed(title, why),
    );
    this.#listeners.push(listener);
    // A daemon that ends before it is ready may have closed all others while this one was being opened.
    if (this.#isClosed) this.close();
  }

  #accept(fd: number, peer: Peer, admission: Admission): void {
    const refusal = refusalOf(admission, peer, {
      ofGroup: this.#peers.get(peer.group),
      ofAll: this.#reactors.connections,
    });
    if (refusal) {
      this.#log.refused(refusal.key, peer.text, refusal.reason);
      descriptors.close(fd);
    } else {
      this.#serve(fd, { peer, exports: admission.exports });
    }
  }

  #serve(fd: number, client: Omit<ConnectionInfo, 'closed'>): void {
    const { group } = client.peer;
    this.#peers.add(group);
    this.#reactors.serve(fd, { ...client, closed: () => this.#peers.remove(group) });
  }
}

/** Other sockets of the program, which are opened by the same functions, are not chosen with this option. */
function advise(error: unknown): never {
  if (!(error instanceof OverlaybdError && error.facts.failure === TAKEN)) throw error;
  const message = `${error.message}: choose another address with --listen`;
  throw new OverlaybdError(error.code, message, { cause: error, facts: error.facts });
}
