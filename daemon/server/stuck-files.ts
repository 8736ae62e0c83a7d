// Reports image files whose reads have not returned from the kernel: which files, for how long, which exports need
// them, and when the reads have returned.

import type { StuckFileStatus } from '../control/api.js';
import { filesOf } from '../image/disks/spec.js';
import { counted } from '../lib/counted.js';
import type { Logger } from '../log/logger.js';
import { files, type StuckFileJob } from '../native/file.js';
import type { HeldImage } from '../image/open-images.js';

export class StuckFiles {
  readonly #log: Logger;
  readonly #exports: () => ReadonlyMap<string, HeldImage>;
  readonly #jobs: () => readonly StuckFileJob[];
  /** Paths that were already logged. */
  readonly #known = new Set<string>();

  /** @param jobs other than the addon's, for tests */
  constructor(
    log: Logger,
    exports: () => ReadonlyMap<string, HeldImage>,
    jobs: () => readonly StuckFileJob[] = () => files.stuckJobs(),
  ) {
    this.#log = log;
    this.#exports = exports;
    this.#jobs = jobs;
  }

  /** One for each file, the longest stuck first. */
  status(): StuckFileStatus[] {
    const byPath = new Map<string, { threads: number; seconds: number }>();
    for (const { path, seconds } of this.#jobs()) {
      const file = byPath.get(path);
      byPath.set(path, {
        threads: (file?.threads ?? 0) + 1,
        seconds: Math.max(file?.seconds ?? 0, Math.floor(seconds)),
      });
    }
    return [...byPath]
      .map(([file, each]) => ({ file, ...each, exports: this.#servedFrom(file) }))
      .toSorted((a, b) => b.seconds - a.seconds);
  }

  /** Logs what is new since the last look. */
  look(): void {
    const stuck = this.status();
    for (const { file, threads, seconds, exports } of stuck) {
      if (this.#known.has(file)) continue;
      this.#known.add(file);
      const whose = exports.map((name) => JSON.stringify(name)).join(', ');
      this.#log.log(
        'error',
        `${file}: ${counted(threads, 'thread')} ${threads === 1 ? 'has' : 'have'} waited for it for ${seconds} s: check the disk, or the mount and its server; exports that need it: ${whose || 'none'}`,
        { file, threads, seconds },
      );
    }
    for (const file of this.#known) {
      if (stuck.some((status) => status.file === file)) continue;
      this.#known.delete(file);
      this.#log.log('info', `${file}: the threads that waited for it have come back`, { file });
    }
  }

  #servedFrom(file: string): string[] {
    return [...this.#exports()].flatMap(([name, { image }]) => {
      // The name of a tar member begins with that of its file.
      const uses = filesOf(image.disk).some(
        (used) => used.name === file || used.name.startsWith(`${file} (`),
      );
      return uses ? [name] : [];
    });
  }
}
