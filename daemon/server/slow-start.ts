// A start whose images take long to open: answers `status` meanwhile, and has the service manager wait.

import type { DaemonStatus, ExportStatus } from '../control/api.js';
import type { ControlHandlers } from '../control/routes.js';
import type { StateFolder } from '../devices/state-folder.js';
import { OverlaybdError, messageOf } from '../errors.js';
import { describeBlobs } from '../image/plan/image-source.js';
import { OPEN_PATIENCE_MS, type ExportSources, type ImageTable } from '../image/table.js';
import { monotonicMs } from '../lib/clock.js';
import { counted } from '../lib/counted.js';
import { packageVersion } from '../lib/package-version.js';
import type { Logger } from '../log/logger.js';
import { ControlPoint } from './control-point.js';
import { openingStatuses } from './export-status.js';
import type { SdNotify } from './sd-notify.js';
import { StartExtension } from './start-extension.js';

const LOOK_MS = 1000;

interface SlowStartParts {
  readonly exports: ExportSources;
  readonly images: Pick<ImageTable, 'openings'>;
  /** null: there is no state folder, so no control socket either. */
  readonly state: StateFolder | null;
  readonly manager: SdNotify;
  readonly log: Logger;
  /** When the start began; milliseconds of the monotonic clock. */
  readonly since: number;
}

export class SlowStart {
  readonly #parts: SlowStartParts;
  readonly #now: () => number;
  readonly #since: string;
  readonly #extension: StartExtension;
  readonly #timer: NodeJS.Timeout;
  #control: ControlPoint | null = null;
  #isAsked = false;

  constructor(parts: SlowStartParts, now: () => number = monotonicMs) {
    this.#parts = parts;
    this.#now = now;
    this.#since = new Date(Date.now() - (now() - parts.since)).toISOString();
    this.#extension = new StartExtension(parts.manager, now);
    this.#timer = setInterval(() => this.look(), LOOK_MS);
    this.look();
  }

  /** The control socket, if it was needed. From the call of {@link end} on it is the caller's. */
  get control(): ControlPoint | null {
    return this.#control;
  }

  /** Looks how far the openings are. */
  look(): void {
    const openings = openingStatuses(this.#parts.images);
    this.#extension.look(openings);
    // Before that, the start may still end like any other; then clients find the socket when everything is there.
    const isSlow = openings.length > 0 || this.#now() - this.#parts.since >= OPEN_PATIENCE_MS;
    if (isSlow) this.#answer();
  }

  /** Looks no more. */
  end(): void {
    clearInterval(this.#timer);
  }

  #answer(): void {
    const { log, state } = this.#parts;
    if (!state || this.#isAsked) return;
    this.#isAsked = true;
    try {
      this.#control = new ControlPoint(state, null);
      this.#control.serve(this.#handlers());
    } catch (error) {
      // The start tries again when the images are open, and fails then if that is still so.
      log.log('warn', `no status while images are being opened: ${messageOf(error)}`);
    }
  }

  #exports(): ExportStatus[] {
    return [...this.#parts.exports].map(([name, { blobs }]) => ({
      name,
      state: 'opening',
      image: describeBlobs(blobs),
      description: '',
      size: 0,
      problem: {
        code: 'BUSY',
        message: 'the daemon is starting: its image is being opened',
        facts: {},
        since: this.#since,
        tries: 0,
        retrySeconds: 0,
      },
      remote: null,
      added: false,
    }));
  }

  #status(): DaemonStatus {
    const exports = this.#exports();
    return {
      pid: process.pid,
      version: packageVersion(),
      since: this.#since,
      listening: [],
      clients: 0,
      images: { served: 0, opening: exports.length, failed: 0 },
      exports,
      openings: openingStatuses(this.#parts.images),
      cache: null,
      starting: true,
      devices: [],
      stuckFiles: [],
    };
  }

  #handlers(): ControlHandlers {
    const refuse = async (): Promise<never> => {
      const images = counted(this.#parts.exports.size, 'image');
      const message = `the daemon is starting: it opens ${images}; status says how far it is`;
      throw new OverlaybdError('BUSY', message);
    };
    return {
      status: async () => this.#status(),
      exports: async () => ({ exports: this.#exports() }),
      export: refuse,
      attach: refuse,
      detach: refuse,
      reload: refuse,
      upgrade: refuse,
      addExport: refuse,
      removeExport: refuse,
      cache: refuse,
      removeFromCache: refuse,
      collectCache: refuse,
      verifyCache: refuse,
      hosts: refuse,
      warmJobs: refuse,
      warm: refuse,
      warmJob: refuse,
      cancelWarm: refuse,
      trace: refuse,
      startTrace: refuse,
      stopTrace: refuse,
    };
  }
}
