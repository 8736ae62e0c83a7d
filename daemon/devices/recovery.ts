// Finds the devices of an earlier daemon again, and opens their images: at the start of the daemon, later if the
// disk with the image comes later, and when such a device is attached again.

import { OverlaybdError, codeOf, fullStory } from '../errors.js';
import type { HeldImage } from '../image/open-images.js';
import { OPEN_PATIENCE_MS } from '../image/table.js';
import { inTime } from '../lib/in-time.js';
import type { Turns } from '../lib/turns.js';
import { FewLines } from '../log/few-lines.js';
import { Device, isServed } from './device.js';
import type { DeviceTable } from './device-table.js';
import type { DeviceEnvironment } from './environment.js';
import { leftBehind } from './left-behind.js';
import type { DeviceLinks } from './links.js';
import { retryDevice } from './lost-device.js';
import { Misfit } from './misfit.js';
import type { DeviceRecord } from './record.js';
import { GONE, type DeviceRemoval } from './removal.js';
import type { Replays } from './replay.js';
import { deviceSize, isImageOf, sourceOfRecord } from './request.js';

interface RecoveryParts {
  readonly environment: DeviceEnvironment;
  readonly table: DeviceTable;
  readonly links: DeviceLinks;
  readonly removal: DeviceRemoval;
  /** No device is attached while one is recovered later. */
  readonly turns: Turns;
}

export class DeviceRecovery {
  readonly #parts: RecoveryParts;
  #replays: Replays | null = null;

  constructor(parts: RecoveryParts) {
    this.#parts = parts;
  }

  /** Finds the devices, and waits up to `patienceMs` for their images. */
  async recoverAll(patienceMs = OPEN_PATIENCE_MS): Promise<void> {
    const { environment, links, table } = this.#parts;
    const opening = new Set<string>();
    let isLate = false;
    // Recover all at once, so that a disk that does not answer delays only its own devices.
    const recovered = leftBehind(environment).map(async (record) => {
      const device = new Device(record, null);
      opening.add(device.path);
      table.add(device);
      const why = await this.recover(device);
      opening.delete(device.path);
      if (why !== null) this.#retry(device, why);
      else if (isLate) links.repairAllSoon(table.served);
    });
    if (await inTime(Promise.all(recovered), patienceMs)) return;
    isLate = true;
    const lines = new FewLines(environment.log, 'warn', 'devices');
    for (const path of opening) {
      lines.add(
        `${path}: its image is not open after ${patienceMs / 1000} s; the daemon is ready without it`,
        { device: path },
      );
    }
    lines.end();
  }

  /** Opens the image of a lost device. @returns null, or why the device is not served */
  async recover(device: Device): Promise<OverlaybdError | null> {
    const { environment, table } = this.#parts;
    const { images } = environment;
    const { record } = device;
    let held: HeldImage;
    try {
      held = await images.open(sourceOfRecord(record));
    } catch (error) {
      // Reads of the device wait. They fail after the dead connection timeout, unless a later try succeeds.
      return new OverlaybdError(codeOf(error), `its image cannot be opened: ${fullStory(error)}`, {
        cause: error,
      });
    }
    try {
      held = await this.#asAttached(record, held);
    } catch (error) {
      images.release(held);
      return new OverlaybdError(codeOf(error), whyNot(held, error), { cause: error });
    }
    if (!table.has(device) || device.leaving || isServed(device)) {
      images.release(held);
      return isServed(device) ? null : new OverlaybdError('BUSY', 'it was detached meanwhile');
    }
    device.serve(held);
    images.hide(held);
    return null;
  }

  /** @throws Misfit if it is not the image of the record; and what reading throws */
  async #asAttached(record: DeviceRecord, held: HeldImage): Promise<HeldImage> {
    if (held.fingerprint !== record.fingerprint) throw new Misfit('');
    const { environment } = this.#parts;
    if (record.metadata === null) return withSizeOf(record, held);
    // Loaded here, because few daemons have devices of layers of files.
    const { keepMetadata, Replays } = await import('./replay.js');
    const { checkContents, keepContents } = await import('./contents.js');
    const digests = await checkContents(record, held, environment);
    const isSame = isImageOf(held, record);
    const replays = (this.#replays ??= new Replays(environment));
    const image = withSizeOf(record, isSame ? held : await replays.replayed(record, held));
    // From here on it is the image. What is kept of another one would keep the right one out.
    if (isSame) await keepMetadata(record, held, environment);
    keepContents(record, held, environment, digests);
    return image;
  }

  #retry(device: Device, why: OverlaybdError): void {
    const { environment, links, removal, table, turns } = this.#parts;
    const isLost = (): boolean => {
      if (links.isStopped || !table.has(device) || isServed(device)) return false;
      if (links.isOurs(device.record)) return true;
      removal.forget(device, GONE);
      return false;
    };
    const recover = (): Promise<OverlaybdError | null> => turns.run(() => this.recover(device));
    const served = (): void => links.repairAllSoon(table.served);
    retryDevice({ record: device.record, log: environment.log, isLost, recover, served }, why);
  }
}

function whyNot({ name }: HeldImage, error: unknown): string {
  if (!(error instanceof Misfit)) {
    return `${name}: whether it is the image with which the device was attached cannot be checked: ${fullStory(error)}`;
  }
  const why = error.message === '' ? '' : `: ${error.message}`;
  return `${name} is not the image with which it was attached${why}; detach it, or bring that image back and attach it again`;
}

/** @throws Misfit */
function withSizeOf(record: DeviceRecord, held: HeldImage): HeldImage {
  const size = deviceSize(held.image.size, record);
  if (size === record.size) return held;
  throw new Misfit(`a device of ${record.size} bytes, now of ${size}`);
}
