// Has damaged decoded copies of layers made right: a read that finds one fails, and the layer is read again.

import { messageOf } from '../errors.js';
import { monotonicMs } from '../lib/clock.js';
import type { Logger } from '../log/logger.js';
import type { MendedFile } from '../registry/remote.js';
import type { HeldImage } from './open-images.js';
import { sourcesOf, type DiskSpec, type SourceSpec } from './disks/spec.js';

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

type Image = HeldImage['image'];

/** Attempts with one image that failed, one after another. */
interface Failures {
  readonly count: number;
  readonly lastAt: number;
}

/** What is known of a copy. */
interface Attempts {
  /** One image at a time mends it. */
  isGoingOn: boolean;
  mendedAt: number | null;
  /** Whether the log says that it is damaged again. */
  isTold: boolean;
  /** Since it was mended. An image may fail for a reason of its own, and the others need not wait for it. */
  failures: WeakMap<Image, Failures>;
}

export class CopyMender {
  readonly #images: Images;
  readonly #log: Logger;
  readonly #now: () => number;
  /** Of each copy, which several images may have open, by its file. */
  readonly #attempts = new WeakMap<SourceSpec, Attempts>();

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
    const attempts = this.#attempts.get(file) ?? newAttempts();
    this.#attempts.set(file, attempts);
    const { image } = held;
    if (!this.#mayMend(attempts, image, path)) return;
    attempts.isGoingOn = true;
    attempts.isTold = false;
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
    const lastAt = this.#now();
    attempts.isGoingOn = false;
    if (problem === null) {
      attempts.mendedAt = lastAt;
      attempts.failures = new WeakMap();
      this.#log.log('info', `${what}: it is mended`);
      return;
    }
    const count = (attempts.failures.get(image)?.count ?? 0) + 1;
    attempts.mendedAt = null;
    attempts.failures.set(image, { count, lastAt });
    this.#log.log('error', `${what}: it cannot be mended: ${problem}`);
  }

  #mayMend(attempts: Attempts, image: Image, path: string): boolean {
    const { isGoingOn, mendedAt } = attempts;
    if (isGoingOn) return false;
    const failed = attempts.failures.get(image);
    if (failed) {
      const pauseMs = Math.min(AGAIN_MS, RETRY_MS * 2 ** (failed.count - 1));
      return this.#now() - failed.lastAt >= pauseMs;
    }
    if (mendedAt === null) return true;
    const since = this.#now() - mendedAt;
    if (since >= AGAIN_MS) return true;
    if (since < LATE_MS) return false;
    if (!attempts.isTold) {
      attempts.isTold = true;
      const advice = 'does its disk work? After an hour it is mended again';
      this.#log.log('error', `decoded copy ${path}: damaged again after it was mended: ${advice}`);
    }
    return false;
  }
}

function newAttempts(): Attempts {
  return { isGoingOn: false, mendedAt: null, isTold: false, failures: new WeakMap() };
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
