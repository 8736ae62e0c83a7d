// Has damaged decoded copies of layers made right: a read that finds one fails, and the layer is read again.

import { messageOf } from '../errors.js';
import { monotonicMs } from '../lib/clock.js';
import type { Logger } from '../log/logger.js';
import type { MendedFile } from '../registry/remote.js';
import type { HeldImage } from './open-images.js';
import { sourcesOf, type DiskSpec, type SourceSpec } from './spec.js';

/** A copy that is damaged again within this time is left as it is: its disk does not keep what it gets. */
const AGAIN_MS = 3_600_000;
/** The pause after an attempt that failed; twice as long after each further one. */
const RETRY_MS = 60_000;
/** Reports of reads that failed while the copy was damaged may come so late after it was mended. */
const LATE_MS = 5000;
/** The suffix of decoded copies (cache/record-files.ts). A layer that is given as a file may have it, too, and is no copy. */
const COPY_SUFFIX = '.plain';
/** Codes of reads of a copy whose bytes are wrong, or not there. */
const DAMAGE: ReadonlySet<string> = new Set(['BAD_CHECKSUM', 'SHORT_READ']);

interface FailedRead {
  readonly code: string;
  readonly message: string;
}

interface Images {
  mend(held: HeldImage, copies: readonly MendedFile[]): Promise<DiskSpec>;
}

interface Attempt {
  readonly endedAt: number | null;
  /** Attempts that failed, one after another; 0: it is mended. */
  readonly failures: number;
  /** Whether the log says that it is damaged again. */
  isTold: boolean;
}

export class CopyMender {
  readonly #images: Images;
  readonly #log: Logger;
  readonly #now: () => number;
  /** The last one of each copy, which several images may have open, by its file. */
  readonly #attempts = new WeakMap<SourceSpec, Attempt>();

  constructor(images: Images, log: Logger, now = monotonicMs) {
    this.#images = images;
    this.#log = log;
    this.#now = now;
  }

  /** Looks whether a read failed because of a copy. */
  failed(held: HeldImage, { code, message }: FailedRead): void {
    if (!DAMAGE.has(code)) return;
    for (const copy of copiesOf(held.image.disk)) {
      if (copy.names.some((name) => message.startsWith(`${name}: `))) void this.#mend(held, copy);
    }
  }

  async #mend(held: HeldImage, { file, path, fd }: Copy): Promise<void> {
    const last = this.#attempts.get(file);
    if (last && !this.#mayMend(last, path)) return;
    const isTold = false;
    const failures = last?.failures ?? 0;
    this.#attempts.set(file, { endedAt: null, failures, isTold });
    const what = `${held.name}: decoded copy ${path}`;
    this.#log.log('warn', `${what}: its bytes are damaged: its layer is decoded again`);
    let problem: string | null = null;
    try {
      const disk = await this.#images.mend(held, [{ path, fd }]);
      // The name of the copy of a file changes with the owner and the mode of the file.
      if (!copiesOf(disk).some((copy) => copy.path === path))
        problem = 'its layer has another copy by now: open the image again';
    } catch (error) {
      problem = messageOf(error);
    }
    const endedAt = this.#now();
    this.#attempts.set(file, { endedAt, failures: problem === null ? 0 : failures + 1, isTold });
    if (problem === null) this.#log.log('info', `${what}: it is mended`);
    else this.#log.log('error', `${what}: it cannot be mended: ${problem}`);
  }

  #mayMend(last: Attempt, path: string): boolean {
    if (last.endedAt === null) return false;
    const since = this.#now() - last.endedAt;
    if (last.failures > 0) return since >= Math.min(AGAIN_MS, RETRY_MS * 2 ** (last.failures - 1));
    if (since >= AGAIN_MS) return true;
    if (since < LATE_MS) return false;
    if (!last.isTold) {
      last.isTold = true;
      const advice = 'does its disk work? After an hour it is mended again';
      this.#log.log('error', `decoded copy ${path}: damaged again after it was mended: ${advice}`);
    }
    return false;
  }
}

interface Copy extends MendedFile {
  /** Images that have the same file open have the same one. */
  readonly file: SourceSpec;
  /** What errors of its reads begin with. */
  readonly names: readonly string[];
}

/** The decoded copies that a disk is read from. */
function copiesOf(disk: DiskSpec): Copy[] {
  return sourcesOf(disk).flatMap((spec) => {
    if (spec.kind !== 'pieces' || spec.of.kind !== 'file' || spec.format !== 'tar.zst') return [];
    const { name: path, fd } = spec.of;
    return path.endsWith(COPY_SUFFIX)
      ? [{ file: spec.of, path, fd, names: [spec.name, path] }]
      : [];
  });
}
