// A world for the tests of attached devices: a fake kernel, and daemons over it, one after the other, with real
// reactors, sockets and images.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Test } from 'tap';
import { Sysfs } from '../../../daemon/kernel/sysfs.js';
import { DeviceManager } from '../../../daemon/devices/manager.js';
import { DeviceRecords, type DeviceRecord } from '../../../daemon/devices/record.js';
import { sourceOfWords } from '../../../daemon/image/plan/image-source.js';
import { ImageTable } from '../../../daemon/image/table.js';
import { parseReference, type LayoutReference } from '../../../daemon/registry/reference.js';
import { NO_REMOTE, type Remote, type RemoteImages } from '../../../daemon/registry/remote.js';
import { resolveLocal } from '../../../daemon/registry/resolve-local.js';
import { ReactorPool } from '../../../daemon/reactor/pool.js';
import type { LogFields, Logger } from '../../../daemon/log/logger.js';
import { FakeDriver } from '../../support/fake-driver.js';
import { FakeSysfs } from '../../support/fake-sysfs.js';
import { randomBytes } from '../../support/pattern.js';
import { openTargets } from '../../support/descriptors.js';

export const SIZE = 1 << 20;
/** Images of layouts; there is no network. */
const LOCAL_IMAGES: Remote = {
  ...NO_REMOTE,
  images: () => ({
    ...({} as RemoteImages),
    resolve: (reference, index) =>
      resolveLocal(parseReference(reference) as LayoutReference, null, index ?? null),
  }),
};

export const disk = randomBytes(1, SIZE);

/** The parts of one daemon; several may follow each other over the same kernel and state folder. */
export interface Life {
  manager: DeviceManager;
  images: ImageTable;
  reactors: ReactorPool;
  log: string[];
  /** The lines with their fields. */
  lines: LogFields[];
  /** How often the daemon was called because no device is left. */
  idle: () => number;
  /** Like kill -9: nothing is announced, and all sockets are closed. */
  die: () => Promise<void>;
}

export interface World {
  kernel: FakeDriver;
  sysfs: FakeSysfs;
  image: string;
  folder: string;
  records: () => DeviceRecord[];
  live: (exports?: Record<string, string>) => Promise<Life>;
}

/** @param threads of the reactor in each daemon: most tests are about devices, and a thread takes long to start */
export function makeWorld(t: Test, devices = 4, threads = 1): World {
  const folder = t.testdir({ devices: {} });
  const image = join(folder, 'disk.img');
  writeFileSync(image, disk);
  const sysfs = new FakeSysfs(t, devices);
  const kernel = new FakeDriver(sysfs);
  t.teardown(() => kernel.dropAll());
  const fail = (message: string): void => void t.fail(message);
  const records = (): DeviceRecord[] => new DeviceRecords(join(folder, 'devices')).read(fail);
  const live = async (exports: Record<string, string> = {}): Promise<Life> => {
    const log: string[] = [];
    const lines: LogFields[] = [];
    const logger: Logger = {
      log(level, message, fields = {}) {
        log.push(`${level}: ${message}`);
        lines.push({ ...fields, level, message });
      },
    };
    const reactors = new ReactorPool(threads, null, logger);
    const images = new ImageTable(
      logger,
      (specs, failed) => reactors.setExports(specs, failed),
      false,
      undefined,
      LOCAL_IMAGES,
    );
    await images.setExports(
      new Map(Object.entries(exports).map(([name, path]) => [name, sourceOfWords([path])])),
    );
    let idle = 0;
    const manager = new DeviceManager({
      records: new DeviceRecords(join(folder, 'devices')),
      images,
      reactors,
      driver: kernel,
      sysfs: new Sysfs(sysfs.root),
      log: logger,
      maxDevices: 8,
      fetchDeadlineSeconds: () => 20,
      idle: () => idle++,
    });
    let dead = false;
    const die = async (): Promise<void> => {
      if (dead) return;
      dead = true;
      manager.stop();
      await reactors.terminate();
      images.close();
    };
    t.teardown(die);
    return { manager, images, reactors, log, lines, idle: () => idle, die };
  };
  return { kernel, sysfs, image, folder, records, live };
}

export async function until(isSo: () => boolean | Promise<boolean>, ms = 120_000): Promise<void> {
  for (const end = performance.now() + ms; !(await isSo()); await pause(5)) {
    if (performance.now() > end) throw new Error('it did not come in time');
  }
}

/** How many descriptors of this process are files in the folder. */
export const openFiles = (folder: string): number => openTargets(folder).length;

export const part = (offset: number, length: number): Buffer =>
  disk.subarray(offset, offset + length);
