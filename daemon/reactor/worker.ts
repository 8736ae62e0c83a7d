// The entry of a reactor thread: takes exports and connections from the control plane, and reports to
// it. It serves its clients on its own event loop.

import { parentPort } from 'node:worker_threads';
import { FetchClient } from '../fetch/client.js';
import { prepareReaders, ReaderFactory } from '../image/disks/reader-factory.js';
import { sourcesOf } from '../image/disks/spec.js';
import { noImages } from '../registry/remote.js';
import type { FailedExportSpec } from '../image/disks/export-spec.js';
import type { Disk } from '../lib/disk.js';
import { memory } from '../native/memory.js';
import { spin, spinCounts } from '../native/poll.js';
import { thisProcess } from '../native/process.js';
import { LargeMemory } from '../nbd/large-memory.js';
import { PAUSED_AFTER_MS } from './limits.js';
import { SendBufferPool } from '../nbd/outbox.js';
import { BLOCK_SIZES, type ExportTable, type NbdExport } from '../nbd/export.js';
import { Connection } from './connection.js';
import type { ConnectionContext } from './connection-context.js';
import { PipePool } from './file-pipe.js';
import { ExportMap } from './export-map.js';
import { ExportWaits } from './export-waits.js';
import { MessageQueue } from './message-queue.js';
import type { FromReactor, PostedExport, ToReactor } from './messages.js';
import { ReadFailures } from './read-failures.js';
import { RefusedRequests } from './refused-requests.js';
import { TlsAcceptor } from './tls-acceptor.js';
import { monotonicMs } from '../lib/clock.js';

type ExportsMessage = Extract<ToReactor, { type: 'exports' }>;

if (!parentPort) throw new Error('reactor/worker.ts runs as a worker thread only');
const port = parentPort;

// The flag is one of the thread. Fails without CAP_SYS_RESOURCE, which the control plane logs.
thisProcess.ioFlusher();

let fetcher: FetchClient | null = null;
const readers = new ReaderFactory(() => fetcher ?? noImages());
const connections = new Map<number, Connection>();
let exports = new ExportMap([]);
/** Disks by the key of their image. */
let disks = new Map<string, Disk>();
const waits = new ExportWaits();
const failures = new ReadFailures((report) => tell({ type: 'read failed', report }));
const refusals = new RefusedRequests((report) => tell({ type: 'request refused', report }));
/** Whether connections are being offered to another process. */
let isOffering = false;
let tls: NonNullable<ConnectionContext['tls']> | null = null;

const releasePages = (bytes: Buffer): void => void memory.releasePages(bytes);
const context: ConnectionContext = {
  exports: tableOf(() => exports),
  sendBuffers: new SendBufferPool(releasePages),
  largeMemory: new LargeMemory(releasePages),
  pipes: new PipePool(),
  get tls() {
    return tls;
  },
  isOffering: () => isOffering,
  readFailed: (connection, error, request) => {
    failures.add(connection.export?.name ?? '', connection.name, error, request);
  },
  requestRefused: (connection, request, errno, reason) => {
    refusals.add(connection.export?.name ?? '', connection.name, request, errno, reason);
  },
  offered: (connection, fd, transmission) => {
    const { id, counts } = connection;
    connections.delete(connection.id);
    tell({ type: 'offered', connection: { id, fd, transmission, counts } });
  },
  closed: (connection, summary) => {
    connections.delete(connection.id);
    tell({ type: 'closed', summary });
  },
};

setInterval(() => {
  const now = monotonicMs();
  for (const connection of connections.values()) connection.look(now);
}, PAUSED_AFTER_MS).unref();

const messages = new MessageQueue(take);
port.on('message', (message: ToReactor) => messages.add(message));

/** @returns null if the message has been taken */
function take(message: ToReactor): Promise<void> | null {
  switch (message.type) {
    case 'fetcher':
      fetcher = new FetchClient(message.line.port);
      break;
    case 'shared members':
      readers.shareMembers(message.data);
      break;
    case 'exports':
      return takeExports(message);
    case 'spin':
      spin(message.microseconds);
      break;
    case 'tls':
      tls = message.settings && {
        mode: message.settings.mode,
        acceptor: new TlsAcceptor(message.settings),
      };
      break;
    case 'connection': {
      const { id, fd, peer, exports: names, resume } = message;
      const connection = new Connection(id, fd, peer, names ? contextWith(names) : context);
      connections.set(id, connection);
      const served = resume && exports.exact(resume.export);
      if (!resume) connection.start();
      else if (served) connection.resume(served, resume);
      else
        connection.close(
          `its export ${JSON.stringify(resume.export)} is not there any more`,
          'refused',
        );
      break;
    }
    case 'count':
      tell({
        type: 'counts',
        request: message.request,
        counts: [...connections.values()].map(({ id, counts, export: served }) => {
          return { id, export: served?.name ?? null, ...counts };
        }),
        waits: waits.posted(),
        spins: spinCounts(),
        decoding: readers.decoding,
      });
      break;
    case 'offer':
      isOffering = message.on;
      for (const connection of connections.values()) connection.offer();
      break;
    case 'end input':
      connections.get(message.id)?.endInput();
      break;
    case 'report taken':
      failures.taken();
      break;
    case 'drain':
      failures.sweep(true);
      refusals.sweep(true);
      for (const connection of connections.values()) connection.drain();
      break;
  }
  return null;
}

/** The context of a connection that sees only some exports. */
function contextWith(names: readonly string[]): ConnectionContext {
  return { ...context, exports: tableOf(() => exports.only(names)) };
}

/** A table that looks at the current exports each time. */
function tableOf(seen: () => ExportMap): ExportTable {
  return {
    find: (name) => seen().find(name),
    failure: (name) => seen().failure(name),
    list: () => seen().list(),
  };
}

/** Loads the code of their disks before, if it is not loaded. */
function takeExports({ exports: posted, failed }: ExportsMessage): Promise<void> | null {
  const sources = posted.flatMap(({ disk }) => (disk ? sourcesOf(disk) : []));
  const prepared = prepareReaders(sources);
  if (prepared) return prepared.then(() => setExports(posted, failed));
  setExports(posted, failed);
  return null;
}

/** Keeps the disks of images that are known already: of a thousand exports, one may be new. */
function setExports(posted: readonly PostedExport[], failed: readonly FailedExportSpec[]): void {
  const shown: NbdExport[] = [];
  const hidden: NbdExport[] = [];
  const known = disks;
  disks = new Map();
  for (const { name, description, key, disk: spec, hidden: isHidden } of posted) {
    const disk = disks.get(key) ?? known.get(key) ?? (spec && readers.disk(spec));
    if (!disk) throw new Error(`export ${JSON.stringify(name)}: no disk of ${key}`);
    disks.set(key, disk);
    const blockSizes = BLOCK_SIZES;
    (isHidden ? hidden : shown).push({
      name,
      description,
      disk,
      blockSizes,
      // Looked up for each connection, so that only exports with clients are counted by name.
      get waits() {
        return waits.of(name);
      },
    });
  }
  exports = new ExportMap(shown, hidden, new Map(failed.map(({ name, code }) => [name, code])));
}

function tell(message: FromReactor): void {
  port.postMessage(message);
}
