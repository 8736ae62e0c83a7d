// What can be asked of a daemon: methods and paths, and the operation that each of them means.

import { OverlaybdError } from '../errors.js';
import {
  API,
  type AttachAnswer,
  type CacheGain,
  type CacheState,
  type CacheVerdict,
  type DaemonStatus,
  type DetachRequest,
  type ExportList,
  type ExportStatus,
  type HostList,
  type TraceAnswer,
  type TraceStatus,
  type WarmList,
  type WarmStatus,
} from './api.js';
import {
  checkExportName,
  parseAttachRequest,
  parseExportRequest,
  parseTraceRequest,
  parseWarmRequest,
  type AttachRequest,
  type ExportRequest,
  type TraceRequest,
  type WarmRequest,
} from './requests.js';

/** The operations of the daemon. They throw OverlaybdErrors. */
export interface ControlHandlers {
  status(): Promise<DaemonStatus>;
  attach(request: AttachRequest): Promise<AttachAnswer>;
  detach(device: string, request: DetachRequest): Promise<void>;
  reload(): Promise<void>;
  /** Resolves with the process id of the successor when it has taken over. */
  upgrade(): Promise<number>;
  exports(): Promise<ExportList>;
  export(name: string): Promise<ExportStatus>;
  addExport(name: string, request: ExportRequest): Promise<ExportStatus>;
  removeExport(name: string): Promise<void>;
  cache(): Promise<CacheState>;
  removeFromCache(digest: string): Promise<void>;
  collectCache(): Promise<CacheGain>;
  verifyCache(): Promise<CacheVerdict>;
  hosts(): Promise<HostList>;
  warmJobs(): Promise<WarmList>;
  /** Resolves when it has begun. */
  warm(request: WarmRequest): Promise<WarmStatus>;
  warmJob(id: string): Promise<WarmStatus>;
  cancelWarm(id: string): Promise<void>;
  trace(): Promise<TraceStatus>;
  startTrace(request: TraceRequest): Promise<TraceStatus>;
  stopTrace(): Promise<TraceAnswer>;
}

export interface Asked {
  readonly method: string;
  /** Path and query, as they were sent. */
  readonly url: string;
  readonly body: string;
}

interface Found {
  /** The last part of the path, decoded; '' if the path has none. */
  readonly name: string;
  readonly query: URLSearchParams;
  readonly body: string;
}

interface Route {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly path: RegExp;
  readonly run: (daemon: ControlHandlers, found: Found) => Promise<unknown>;
}

const exactly = (path: string): RegExp => new RegExp(`^${path}$`);
const oneOf = (path: string): RegExp => new RegExp(`^${path}/([^/]+)$`);
/** The default export has the name ''. */
const exportOf = (path: string): RegExp => new RegExp(`^${path}/([^/]*)$`);

const ROUTES: readonly Route[] = [
  { method: 'GET', path: exactly(API.status), run: (daemon) => daemon.status() },
  {
    method: 'POST',
    path: exactly(API.devices),
    run: (daemon, { body }) => daemon.attach(parseAttachRequest(body)),
  },
  {
    method: 'DELETE',
    path: oneOf(API.devices),
    run: (daemon, { name, query }) => {
      const flag = (each: string): boolean => query.get(each) === '1';
      return daemon.detach(name, { force: flag('force'), onClose: flag('onClose') });
    },
  },
  { method: 'POST', path: exactly(API.reload), run: (daemon) => daemon.reload() },
  {
    method: 'POST',
    path: exactly(API.upgrade),
    run: async (daemon) => ({ pid: await daemon.upgrade() }),
  },
  { method: 'GET', path: exactly(API.exports), run: (daemon) => daemon.exports() },
  {
    method: 'GET',
    path: exportOf(API.exports),
    run: (daemon, { name }) => daemon.export(name),
  },
  {
    method: 'PUT',
    path: exportOf(API.exports),
    run: (daemon, { name, body }) =>
      daemon.addExport(checkExportName(name), parseExportRequest(body)),
  },
  {
    method: 'DELETE',
    path: exportOf(API.exports),
    run: (daemon, { name }) => daemon.removeExport(name),
  },
  { method: 'GET', path: exactly(API.cache), run: (daemon) => daemon.cache() },
  { method: 'POST', path: exactly(`${API.cache}/gc`), run: (daemon) => daemon.collectCache() },
  { method: 'POST', path: exactly(`${API.cache}/verify`), run: (daemon) => daemon.verifyCache() },
  {
    method: 'DELETE',
    path: oneOf(API.cache),
    run: (daemon, { name }) => daemon.removeFromCache(name),
  },
  { method: 'GET', path: exactly(API.hosts), run: (daemon) => daemon.hosts() },
  { method: 'GET', path: exactly(API.warm), run: (daemon) => daemon.warmJobs() },
  {
    method: 'POST',
    path: exactly(API.warm),
    run: (daemon, { body }) => daemon.warm(parseWarmRequest(body)),
  },
  { method: 'GET', path: oneOf(API.warm), run: (daemon, { name }) => daemon.warmJob(name) },
  { method: 'DELETE', path: oneOf(API.warm), run: (daemon, { name }) => daemon.cancelWarm(name) },
  { method: 'GET', path: exactly(API.trace), run: (daemon) => daemon.trace() },
  {
    method: 'POST',
    path: exactly(API.trace),
    run: (daemon, { body }) => daemon.startTrace(parseTraceRequest(body)),
  },
  { method: 'DELETE', path: exactly(API.trace), run: (daemon) => daemon.stopTrace() },
];

/**
 * Does the operation that a request names.
 * @returns the answer; undefined for none
 * @throws OverlaybdError NOT_FOUND if there is no such operation, BAD_ARGUMENT; what the operation throws
 */
export async function answer({ method, url, body }: Asked, daemon: ControlHandlers) {
  const [pathname = '', search] = url.split('?', 2);
  for (const { method: own, path, run } of ROUTES) {
    const match = own === method ? path.exec(pathname) : null;
    if (!match) continue;
    return run(daemon, {
      name: decode(match[1] ?? ''),
      query: new URLSearchParams(search),
      body,
    });
  }
  throw new OverlaybdError('NOT_FOUND', `control API: there is no ${method} ${pathname}`);
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new OverlaybdError('BAD_ARGUMENT', `control API: ${text}: not percent-encoded UTF-8`);
  }
}
