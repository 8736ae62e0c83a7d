// The ways in which an image of a registry comes to be an NBD export, each from nothing.
import { join } from 'node:path';
import { PROGRAM } from '../../support/program.js';
import { mustRun } from '../../support/tools.js';
import { Server, type Served } from '../server.js';
import type { FileWorkName } from './file-works.js';
import type { FrontProcess } from './front.js';
import { DIRECT_TAG, type Place } from './place.js';

export type RivalName = 'local' | 'ours' | 'trace' | 'whole' | 'nbdkit-curl';

/** One start of a rival. */
export interface Start {
  readonly front: FrontProcess;
  readonly place: Place;
  /** Empty, for this start alone; also for its cache. */
  readonly folder: string;
  readonly socket: string;
  /** What was recorded of this work. */
  readonly trace: string;
}

export interface Rival {
  readonly name: RivalName;
  readonly about: string;
  /** Resolves when the program is started; it may not listen yet. */
  readonly start: (start: Start) => Promise<Server>;
}

export const traceFile = (folder: string, work: FileWorkName): string =>
  join(folder, `${work}.trace`);

/** The daemon with an image of the front. */
export function serveRemote(
  { front, folder, socket }: Pick<Start, 'front' | 'folder' | 'socket'>,
  more: readonly string[] = [],
  tag = DIRECT_TAG,
): Server {
  const cache = ['--cache-dir', join(folder, 'cache'), '--cache-min-free', '0'];
  return serve(front.name(tag), socket, [...front.options, ...cache, ...more]);
}

/** The daemon with a file, or an image by its name. */
export function serve(image: string, socket: string, more: readonly string[] = []): Server {
  const words = [process.execPath, PROGRAM, 'serve', image, '--listen', `unix://${socket}`];
  return run('overlaybd-nbd', socket, [...words, ...more]);
}

export function nbdkit(socket: string, ...words: string[]): Server {
  const options = ['--foreground', '--exit-with-parent', '--readonly', '--unix', socket];
  return run('nbdkit', socket, ['nbdkit', ...options, ...words]);
}

function run(name: string, socket: string, [program = '', ...args]: readonly string[]): Server {
  const served: Served = { name, command: () => [program, ...args] };
  return new Server(served, [], socket);
}

/** In the order of the tables. The first one is no rival, but what the client itself needs. */
export const RIVALS: readonly Rival[] = [
  {
    name: 'local',
    about: 'no network: nbdkit, local raw image',
    start: ({ place, socket }) => Promise.resolve(nbdkit(socket, 'file', place.rawImage)),
  },
  {
    name: 'ours',
    about: 'overlaybd-nbd',
    start: (start) => Promise.resolve(serveRemote(start)),
  },
  {
    name: 'trace',
    about: 'overlaybd-nbd, replayed trace',
    start: (start) => Promise.resolve(serveRemote(start, ['--replay-trace', start.trace])),
  },
  {
    name: 'whole',
    about: 'download of the whole blob, then overlaybd-nbd',
    async start({ front, place, folder, socket }) {
      const file = join(folder, 'whole.obd');
      const url = front.blobUrl(place.layerDigest);
      await mustRun('curl', ['--silent', '--show-error', '--fail', '--output', file, url]);
      return serve(file, socket);
    },
  },
  {
    name: 'nbdkit-curl',
    about: 'nbdkit curl, raw image as one blob',
    start: ({ front, place, socket }) =>
      Promise.resolve(nbdkit(socket, 'curl', `url=${front.blobUrl(place.rawDigest)}`)),
  },
];
